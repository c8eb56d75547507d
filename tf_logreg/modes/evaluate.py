"""`--mode=evaluate`: a finished run's model measured on its own data, or on another config's."""

import logging

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg import storage
from tf_logreg.data import dataset, identity, load, slices, units, views
from tf_logreg.data.encoders import Encoding
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.devices.strategies import check_surroundings
from tf_logreg.errors import InputError
from tf_logreg.model.model import Model
from tf_logreg.results import changed_data, measurement
from tf_logreg.results import workdir as directory

log = logging.getLogger(__name__)


def evaluate_run(
    workdir: str, *, strategy: tf.distribute.Strategy, config: ConfigDict | None = None
) -> dict[str, dict]:
    """Metrics of a run's model on the run's own data, or on another config's.

    Args:
        workdir: of a finished run.
        strategy: where the replicas live.
        config: names the data; the run's own config when None.

    Returns:
        Metrics by split ('all' for another config's data without splits), also written to `evaluation.json`.

    Raises:
        InputError: no finished run, data with other features or classes, or a file that the run read and
            that has changed.
    """
    check_surroundings(strategy)
    devices, other_data, folder = Devices(strategy), config is not None, directory.of(workdir)

    # Each worker reads files of its own, any of which may be bad or missing.
    result, model, config, source, rows = devices.together(
        lambda: read_rows(folder, config, Encoding(strategy))
    )
    if not other_data and result.get("measured"):
        log.warning(
            "data.refit='all': the model was fitted to all of these rows. What the fit to the training rows "
            "alone gets on the others is in result.json."
        )
    sizes = {role: len(ids) for role, ids in rows.items()}
    devices.same((sizes, source.feature_names, source.class_names), "data")
    if other_data and set(rows) == {"train"}:
        rows = {"all": rows["train"]}
    scans = [dataset.scan_rows(source, ids, devices) for ids in rows.values()]
    exponent = units.exponents(np.max([scan.largest for scan in scans], axis=0))
    source, model = units.in_units(source, exponent), model.in_units(exponent)
    numbers, _ = measurement.evaluate_model(config.evaluate, model, source, rows, devices)

    def write() -> None:
        with directory.finished_run(folder, result) as mine:
            mine.write_json("evaluation.json", {"config": config.to_dict(), "metrics": numbers})

    devices.from_chief(write)
    return numbers


def read_rows(
    folder: storage.Folder, config: ConfigDict | None, encoding: Encoding
) -> tuple[dict, Model, ConfigDict, Source, dict[str, np.ndarray]]:
    """A finished run's result and model, and rows with the features and classes of the model.

    Args:
        folder: of the run.
        config: names the data; the run's own config when None.
        encoding: who encodes, where data.encoder names an encoder.

    Returns:
        result, model, the config that names the data, the source in raw units, and row ids by role.

    Raises:
        InputError: as of `evaluate_run`.
    """
    result, model = directory.read_model(folder)
    asked = config if config is not None else _own_config(folder)
    configs.validate(asked)
    if config is not None and model.schema is not None and asked.data.source in load.TABLES:
        asked = _with_columns_of_run(asked, directory.read_record(folder)["config"]["data"])
    # Classes and features as the run names them: a file may lack a class, or order them otherwise.
    source, rows = dataset.read_data(asked, model.class_names, model.head.outputs, model.schema, encoding)
    source = slices.with_levels(source, asked.evaluate.slices, rows)
    if source.feature_names != model.feature_names:
        source = views.with_columns(source, model.feature_names)
        log.info("The features are not those of the run in its order: they are taken by name.")
    return result, model, asked, source, rows


def _with_columns_of_run(config: ConfigDict, run: dict) -> ConfigDict:
    """The config of another table, whose label and offset are in the columns in which the run had them.

    Args:
        config: of the data to measure; what it names counts.
        run: the section data of the run's config.
    """
    config = ConfigDict(config.to_dict())
    for role in ("label", "offset"):
        config.data[role] = config.data[role] or run.get(role, "")
    if run.get("weight") and not config.data.weight:
        log.info("Rows count alike: --config.data.weight=%s weighs them as the run did.", run["weight"])
    return config


def _own_config(folder: storage.Folder) -> ConfigDict:
    """The config that a run was made with, while the data are as it read them.

    Raises:
        InputError: `config.json` is damaged, or the data have changed.
    """
    record = directory.read_record(folder)
    try:
        if "data" not in record["config"]:
            raise KeyError("data")
        config = configs.from_json(record["config"])
        configs.validate(config)
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # an InputError is a ValueError
        where = folder.where("config.json")
        raise InputError(f"{folder.field}: cannot use {where!r}: its 'config' is damaged: {error}") from None
    if "data" in record:
        remedy = "Give --config to measure the run on other data."
        changed_data.check_data(folder, record, lambda known: identity.digests(config, known), remedy=remedy)
    return config
