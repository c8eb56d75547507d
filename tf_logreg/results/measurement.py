"""A model and the rows of each split -> metrics."""

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data.source import Source
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
    """Metrics of a model by role, and their arrays under 'role/name'.

    Args:
        options: the config's section evaluate, which limits the rows for which areas are computed.
        model: in the units of the source.
        source: where rows are read.
        rows: row ids by role.
        devices: where logits are computed; X is read in the model's own dtype.
    """
    numbers, arrays = {}, {}
    for role, ids in rows.items():
        numbers[role], found = evaluate.evaluate(model, source, ids, devices, **options)
        if role == "train":  # the model has seen these rows: others would not scatter around their metrics
            numbers[role] = {k: v for k, v in numbers[role].items() if k not in intervals.NAMES}
        # Weights as the user gave them.
        for name in {"confusion", "confusion_weight"} & found.keys():
            found[name] = np.ldexp(found[name], source.weight_exponent)
        found["calibration"][:, 0] = np.ldexp(found["calibration"][:, 0], source.weight_exponent)
        arrays |= {f"{role}/{name}": array for name, array in found.items()}
    return numbers, arrays
