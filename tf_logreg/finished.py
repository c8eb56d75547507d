"""What can be done with a finished run: measure it again, export it again. Neither needs the fit."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg import inputs, measuring, workers
from tf_logreg.data.source import describe, with_classes
from tf_logreg.errors import InputError
from tf_logreg.results import export
from tf_logreg.results import workdir as directory


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
        InputError: no finished run, or data with other features or classes.
    """
    team, other_data = workers.of(strategy), config is not None

    def read() -> tuple:
        model, columns, class_names = read_model(workdir)
        own = directory.read_json(workdir, "config.json")["config"]
        asked = config if other_data else configs.from_json(own)
        configs.validate(asked)
        source, rows = inputs.read_data(asked)
        if columns != source.columns:
            raise InputError(
                f"data: expected the run's {len(columns)} features, {describe(columns)}. Received: "
                f"{len(source.columns)}, {describe(source.columns)}."
            )
        # Labels are named as the run names them: a file may lack a class, or order them otherwise.
        return model, asked, with_classes(source, class_names), rows

    # Each worker reads files of its own, any of which may be bad or missing.
    model, config, source, rows = team.together(read)
    sizes = {role: len(ids) for role, ids in rows.items()}
    team.same((sizes, source.columns, source.class_names), "data")
    if other_data and set(rows) == {"train"}:
        rows = {"all": rows["train"]}
    for ids in rows.values():
        inputs.scan_rows(source, ids, team)
    numbers, _ = measuring.evaluate_model(config.evaluate.max_rows, model, source, rows, strategy)
    record = {"config": config.to_dict(), "metrics": numbers}
    team.from_chief(lambda: directory.write_json(workdir, "evaluation.json", record))
    return numbers


def export_run(workdir: str, version: int | None = None, *, overwrite: bool = False) -> str:
    """Writes a finished run's SavedModel again, from `model.keras` and `coefficients.npz`.

    Args:
        workdir: of a finished run.
        version: None for `export/` itself; a number for `export/<number>/` beside its files. TensorFlow
            Serving's model_base_path may be `export/`: it takes folders that are numbers, and passes over
            all else.
        overwrite: replace a version that is there.

    Returns:
        The folder.

    Raises:
        InputError: no finished run, or a version that is there.
    """
    model, feature_names, class_names = read_model(workdir)

    def save(path: str) -> None:
        export.save(export.serving_module(model, feature_names, class_names), path)

    if version is None:
        # What is served may be read at any moment, so versions stay where they are.
        directory.write_within(workdir, "export", save)
        return f"{workdir}/export"
    folder = Path(workdir) / "export" / str(version)
    if folder.exists() and not overwrite:
        raise InputError(
            f"--version: expected a number that is not there. Received: {version}, but {str(folder)!r} exists; "
            "--overwrite replaces it."
        )
    directory.write_with(str(folder.parent), folder.name, save)
    return str(folder)


def read_model(workdir: str) -> tuple[keras.Sequential, tuple[str, ...], tuple[str, ...]]:
    """A finished run's model in raw units, its feature names and its class names.

    Raises:
        InputError: no finished run.
    """
    directory.read_json(workdir, "result.json")
    with np.load(Path(workdir) / "coefficients.npz", allow_pickle=False) as arrays:
        names = tuple(tuple(arrays[key].tolist()) for key in ("feature_names", "class_names"))
    return keras.models.load_model(Path(workdir) / "model.keras"), *names
