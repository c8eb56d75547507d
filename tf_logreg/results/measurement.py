"""A model and the rows of each split -> metrics."""

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg.data import pipeline
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.model.model import Model
from tf_logreg.results import evaluate

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
        devices: where the replicas are; X is read in the model's own dtype.
    """
    numbers, arrays = {}, {}
    for role, ids in rows.items():

        def batches(mine, ids=ids):
            return pipeline.sequential_batches(
                source,
                ids,
                replicas=devices.replicas,
                mine=mine,
                dtype=tf.as_dtype(model.dtype),
                width=max(len(source.feature_names), len(source.class_names)),
            )

        numbers[role], found = evaluate.evaluate(
            model,
            pipeline.distribute(devices.strategy, batches),
            devices,
            **options,
        )
        # Weights as the user gave them.
        for name in {"confusion", "confusion_weight"} & found.keys():
            found[name] = np.ldexp(found[name], source.weight_exponent)
        found["calibration"][:, 0] = np.ldexp(found["calibration"][:, 0], source.weight_exponent)
        arrays |= {f"{role}/{name}": array for name, array in found.items()}
    return numbers, arrays
