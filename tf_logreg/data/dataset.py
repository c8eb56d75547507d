"""From the config's data section to rows that are split, checked and counted."""

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import digest, moments, names, pipeline, split, views
from tf_logreg.data.load import files, load, version
from tf_logreg.data.source import Source, with_offset
from tf_logreg.devices import workers
from tf_logreg.errors import InputError
from tf_logreg.model import keras_model


def read_data(
    config: ConfigDict, class_names: tuple[str, ...] = (), outputs: int = 0
) -> tuple[Source, dict[str, np.ndarray]]:
    """The source that the config names and its row ids by role: train, validation, test.

    Args:
        config: its section data is read, and model.output.
        class_names: the classes of a finished run that is to be measured; without them they are those
            that have rows, however many were declared.
        outputs: of that run's model; without them what model.output stands for.

    Raises:
        InputError: data that cannot be used.
    """
    data, source = config.data, load(config.data.source, **config.data.args)
    for name in (data.group, data.time):
        source.extras.get(name)  # arrays that are read when they are asked for: now, with all else
    splits = {data.train_split, data.validation_split, data.test_split} & set(source.splits)
    present = views.present_classes(source, splits)
    if class_names:
        source = views.with_classes(source, class_names, present)
    else:
        there = tuple(name for name, used in zip(source.class_names, present, strict=True) if used)
        source = views.with_classes(source, there, present)
        if data.positive_class:
            source = views.with_positive_class(source, data.positive_class)
    if data.offset:
        output = keras_model.resolve_output(config.model.output, len(source.class_names))
        source = with_offset(
            source, data.offset, outputs or (1 if output == "sigmoid" else len(source.class_names))
        )
    options = set(data) - {"source", "args", "positive_class", "offset"}
    return source, split.split_rows(source, seed=config.seed, **{name: data[name] for name in options})


def digests(config: ConfigDict, known: dict) -> dict:
    """What the data are: the source's version and digests of its files.

    Args:
        config: its data section is read.
        known: an earlier answer, which may save reading files again; {} for none.
    """
    source, args = config.data.source, config.data.args
    return {
        "version": version(source),
        "files": digest.digests(files(source, **args), known.get("files", {})),
    }


def read_unchanged(config: ConfigDict) -> tuple[Source, dict[str, np.ndarray], dict]:
    """`read_data`, and the digests of what it read.

    Raises:
        InputError: a file changed while it was read.
    """
    before = digests(config, {})
    source, rows = read_data(config)
    after = digests(config, before)
    for name, file in before["files"].items():
        if after["files"].get(name, {}).get("sha256") != file["sha256"]:
            raise InputError(f"data: {name!r} changed while it was read. Start again when it is whole.")
    return source, rows, after


def scan_rows(source: Source, rows: np.ndarray, team: workers.Workers | None = None) -> moments.Scan:
    """Checks and moments of some rows; each worker of a team reads its own.

    Raises:
        InputError: a number that cannot be used, with its place, or no weight at all.
    """
    if team is None or team.count == 1:
        found = moments.scan(pipeline.host_batches(source, rows), source)
    else:
        mine = pipeline.rows_of(rows, team.replicas, team.strategy.num_replicas_in_sync)
        own = team.together(lambda: moments.scan(pipeline.host_batches(source, mine), source))
        found = moments.merged([moments.Scan(**fields) for fields in team.every(vars(own))])
    if not found.weight_sum > 0:
        raise InputError(
            f"weight: expected some rows with a weight > 0. Received: {len(rows)} rows of weight 0."
        )
    return found


def check_training_classes(source: Source, rows: dict[str, np.ndarray], scan: moments.Scan) -> None:
    """Every class that has rows must have some to be learnt from.

    Args:
        source: the rows; classes without any are not among its own.
        rows: row ids by role.
        scan: of the training rows.

    Raises:
        InputError: a class has no training row of weight > 0. It says where its rows are.
    """
    absent = np.flatnonzero(scan.class_weight_sum == 0)
    if not absent.size:
        return
    counts = {role: np.isin(source.labels(ids), absent).sum() for role, ids in rows.items()}
    places = ", ".join(f"{count} in {role}" for role, count in counts.items() if count)
    classes = names.told_apart(source.class_names)
    raise InputError(
        f"y: expected training rows with a weight > 0 of every class that has rows. Received: none of "
        f"{names.describe(tuple(classes[c] for c in absent))}, of {len(classes)} classes; of their rows "
        f"there are {places or 'none'}. Leave such rows out, or let some train."
    )
