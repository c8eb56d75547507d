"""Log loss, accuracy and area of a model on the labelled rows of a frame, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.model import areas
from tf_logreg.tables import frames


def of_frame(model: Any, frame: Any, label: str = "") -> dict[str, float | int | None]:
    """What `Model.evaluate` returns; arguments and errors are those there."""
    label = label or (model.schema.label if model.schema is not None else "")
    table = frames.table_of(frame, "frame").columns
    if label not in table.column_names:
        raise InputError(f"label: expected a column of the frame. Received: {label!r}.")
    if not len(table):
        raise InputError("frame: expected rows. Received: none.")
    y = _classes(model, table, label)
    logits = model.logits(frame if model.schema is not None else _features(model, table))
    log_p = model.head.log_probabilities(logits)  # finite where a probability underflows
    found = {"num_rows": len(y), "log_loss": float(-log_p[np.arange(len(y)), y].mean())}
    found["accuracy"] = float((model.classes(logits) == y).mean())
    if len(model.class_names) == 2 and 0 < y.sum() < len(y):
        found["roc_auc"] = areas.areas(y == 1, log_p[:, 1] - log_p[:, 0], np.ones(len(y)))[0]
    return found


def _features(model: Any, table: Any) -> np.ndarray:
    """The columns [n, p] of a model of arrays, by their names."""
    for name in model.feature_names:
        if name not in table.column_names:
            raise InputError(f"frame: expected the column {name!r}, a feature. Received: a frame without it.")
    return np.stack([table[name].to_numpy() for name in model.feature_names], axis=1)


def _classes(model: Any, table: Any, label: str) -> np.ndarray:
    """Class index of each row, int [n]."""
    known = {name: k for k, name in enumerate(model.class_names)}
    values = table[label].to_pylist()
    for row, value in enumerate(values):
        if value is None or _text(value) not in known:
            raise InputError(
                f"label: expected one of {', '.join(model.class_names[:20])}. Received: {value!r} in row "
                f"{row}, counted from 0, of column {label!r}."
            )
    return np.array([known[_text(value)] for value in values])


def _text(value: Any) -> str:
    """A label as the name of its class; whole floats without their point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
