"""A model and the rows of each split -> metrics, and the objective that minibatch training ended with."""

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg.data import moments, pipeline
from tf_logreg.data.source import Source, with_class_weight
from tf_logreg.devices import workers
from tf_logreg.model import keras_model
from tf_logreg.results import evaluate

# The section evaluate where only sums are wanted: areas need all logits kept and sorted.
NO_AREAS = ConfigDict({"max_rows": 0, "max_bytes": 0})


def evaluate_model(
    options: ConfigDict,
    model: keras.Sequential,
    source: Source,
    rows: dict[str, np.ndarray],
    strategy: tf.distribute.Strategy,
) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
    """Metrics of a raw-unit model by role, and their arrays under 'role/name'.

    Args:
        options: the config's section evaluate, which says for how many rows areas are found.
        model: in raw units.
        source: where rows are read.
        rows: row ids by role.
        strategy: where the replicas live.
    """
    numbers, arrays = {}, {}
    for role, ids in rows.items():

        def batches(mine, ids=ids):
            return pipeline.sequential_batches(
                source,
                ids,
                replicas=strategy.num_replicas_in_sync,
                mine=mine,
                # The model's own dtype is Keras's default, whatever its layers have.
                dtype=tf.as_dtype(model.get_layer("logits").dtype),
                width=max(len(source.columns), len(source.class_names)),
            )

        numbers[role], found = evaluate.evaluate(
            model,
            pipeline.distribute(strategy, batches),
            strategy=strategy,
            num_classes=len(source.class_names),
            **options,
            every=workers.of(strategy).every,
        )
        # Weights as the user gave them.
        for name in {"confusion", "confusion_weight"} & found.keys():
            found[name] = np.ldexp(found[name], source.weight_exponent)
        found["calibration"][:, 0] = np.ldexp(found["calibration"][:, 0], source.weight_exponent)
        arrays |= {f"{role}/{name}": array for name, array in found.items()}
    return numbers, arrays


def minibatch_objective(
    config: ConfigDict,
    numbers: dict[str, dict],
    trained: tuple[np.ndarray, np.ndarray],
    source: Source,
    rows: dict[str, np.ndarray],
    columns: moments.Affine,
    weight_of_class: np.ndarray | None,
    strategy: tf.distribute.Strategy,
) -> float | None:
    """F of minibatch training at the weights that it ended with, in nats; None where it is no number."""
    training_loss = numbers["train"]["log_loss"]
    if weight_of_class is not None:
        # The objective weighs rows by class and knows no corrected prior; the metrics do neither.
        num_classes, outputs = len(source.class_names), trained[0].shape[1]
        raw_model = keras_model.build(
            len(source.columns),
            num_classes,
            output="sigmoid" if outputs == 1 else "softmax",
            bias=config.model.bias,
            dtype=trained[0].dtype.name,
        )
        keras_model.set_weights(raw_model, *moments.fold_out(*trained, columns))
        weighted = with_class_weight(source, weight_of_class)
        weighted_numbers, _ = evaluate_model(
            NO_AREAS, raw_model, weighted, {"train": rows["train"]}, strategy
        )
        training_loss = weighted_numbers["train"]["log_loss"]
    if training_loss is None:
        return None
    penalised = trained[0].astype(np.float64)
    return training_loss + float(
        config.l2 / 2 * np.square(penalised).sum() + config.l1 * np.abs(penalised).sum()
    )
