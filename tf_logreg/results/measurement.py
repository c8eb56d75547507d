"""A model and the rows of each split -> metrics."""

from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data.source import Levels, Source
from tf_logreg.devices.devices import Devices
from tf_logreg.model.model import Model
from tf_logreg.results import evaluate, intervals

# Settings of `evaluate` without the areas, which need all logits kept and sorted.
NO_AREAS = ConfigDict({"max_rows": 0, "max_bytes": 0})


def evaluate_model(
    options: ConfigDict,
    model: Model,
    source: Source,
    rows: dict[str, np.ndarray],
    devices: Devices,
) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
    """Metrics of a model by role, and their arrays under 'role/name'; with options.slices by level too.

    Args:
        options: the config's section evaluate, which limits the rows for which areas are computed, and names
            the slices. Slices are of the rows that the model has not seen, or of the training rows alone.
        model: in the units of the source.
        source: where rows are read, with the levels of the slices.
        rows: row ids by role.
        devices: where logits are computed; X is read in the model's own dtype.
    """
    numbers, arrays = {}, {}
    limits = {name: options[name] for name in ("max_rows", "max_bytes")}

    def measured(role: str, ids: np.ndarray) -> tuple[dict, dict]:
        values, found = evaluate.evaluate(model, source, ids, devices, **limits)
        if role == "train":  # the model has seen these rows: others would not scatter around their metrics
            values = {k: v for k, v in values.items() if k not in intervals.NAMES}
        return values, found

    for role, ids in rows.items():
        numbers[role], found = measured(role, ids)
        if options.get("slices") and (role != "train" or len(rows) == 1):
            numbers[role]["slices"] = {
                name: {
                    level: _of_slice(measured(role, part)[0])
                    for level, part in _parts(source.levels[name], ids)
                }
                for name in options.slices
            }
        # Weights as the user gave them.
        for name in {"confusion", "confusion_weight"} & found.keys():
            found[name] = np.ldexp(found[name], source.weight_exponent)
        found["calibration"][:, 0] = np.ldexp(found["calibration"][:, 0], source.weight_exponent)
        arrays |= {f"{role}/{name}": array for name, array in found.items()}
    return numbers, arrays


def _parts(levels: Levels, ids: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The levels that have rows, and the ids of these."""
    codes = levels.codes[ids]
    for code, name in enumerate(levels.names):
        if (here := codes == code).any():
            yield name, ids[here]


def _of_slice(values: dict) -> dict:
    """The metrics that are told of a slice; of two classes also precision and recall of the second."""
    kept = ("num_rows", "log_loss", "accuracy", "roc_auc", "areas_missing", *intervals.NAMES)
    found = {name: values[name] for name in kept if name in values}
    if len(values["per_class"]["recall"]) == 2:
        found |= {name: values[name] for name in ("label/mean", "prediction/mean")}
        found |= {name: values["per_class"][name][1] for name in ("precision", "recall")}
    return found
