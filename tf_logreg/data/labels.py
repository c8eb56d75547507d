"""Labels of any coding -> class indices 0..C-1 and their names, which come back everywhere."""

import numpy as np

from tf_logreg.errors import InputError


def encode(labels: np.ndarray, class_names: tuple[str, ...] = ()) -> tuple[np.ndarray, tuple[str, ...]]:
    """Encodes labels as indices.

    Args:
        labels: [n] integers, whole floats, booleans or strings. Without `class_names` the classes
            are the distinct labels in increasing order, so 1..C, -1/+1 or 10/50/20 are all fine.
        class_names: when given, labels are either indices into it or members of it.

    Returns:
        y int32 [n] with values 0..C-1, and the C class names.

    Raises:
        InputError: labels are fractional, not finite, of another kind, or outside class_names.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise InputError(f"y: expected one label a row, shape [n]. Received: shape {labels.shape}.")
    if labels.dtype.kind == "f":
        bad = np.flatnonzero(~(labels == np.floor(labels)) | np.isinf(labels))
        if bad.size:
            raise InputError(
                "y: expected classes (integers, strings or booleans). "
                f"Received: {labels[bad[0]]} in row {bad[0]}."
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuUS":
        raise InputError(f"y: expected integers, strings or booleans. Received: dtype {labels.dtype}.")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if not class_names:
        values, y = np.unique(labels, return_inverse=True)
        return y.astype(np.int32), tuple(str(value) for value in values)
    if labels.dtype.kind == "U":
        return _look_up(labels, class_names), class_names
    bad = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
    if bad.size:
        raise InputError(
            f"y: expected 0..{len(class_names) - 1}, an index into the {len(class_names)} class names. "
            f"Received: {labels[bad[0]]} in row {bad[0]}."
        )
    return labels.astype(np.int32), class_names


def _look_up(labels: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """Indices of string labels in class_names; int32 [n]."""
    index = {name: k for k, name in enumerate(class_names)}
    y = np.array([index.get(label, -1) for label in labels.tolist()], np.int32)
    if (y < 0).any():
        row = int(np.argmax(y < 0))
        raise InputError(f"y: expected one of the class names. Received: {str(labels[row])!r} in row {row}.")
    return y
