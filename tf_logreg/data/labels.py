"""Labels of any coding -> class indices 0..C-1 and class names."""

import numpy as np

from tf_logreg import names
from tf_logreg.errors import InputError


def encode(
    labels: np.ndarray, class_names: tuple[str, ...] = (), *, indices: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Encodes labels as indices.

    Args:
        labels: [n] integers, whole floats of any size, booleans, strings or UTF-8 bytes. Without
            `class_names` the classes are the distinct labels in increasing order, so 1..C, -1/+1 or
            10/50/20 are all fine.
        class_names: when given, labels are either indices into it or members of it.
        indices: whether numbers are always indices, even if class names are numbers.

    Returns:
        y int32 [n] with values 0..C-1, and the C class names.

    Raises:
        InputError: labels are fractional, not finite, of another kind, not Unicode, outside class_names,
            a name of two classes, or ambiguous between indices and names.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise InputError(f"y: expected one label a row, shape [n]. Received: shape {labels.shape}.")
    if labels.dtype.kind == "f":
        bad = np.flatnonzero(~(labels == np.floor(labels)) | (np.abs(labels) > np.finfo(np.float64).max))
        if bad.size:
            raise InputError(
                "y: expected classes (integers, strings or booleans). "
                f"Received: {labels[bad[0]]!s} in row {bad[0]}."
            )
    elif labels.dtype.kind not in "biuUS":
        raise InputError(f"y: expected integers, strings or booleans. Received: dtype {labels.dtype}.")
    if labels.dtype.kind in "US":
        values, y = np.unique(labels, return_inverse=True)
        texts = tuple(_text(value, labels) for value in values.tolist())
        if not class_names:
            return y.astype(np.int32), texts
        return _look_up(texts, class_names, y)[y], class_names
    if not class_names:
        values, y = np.unique(labels, return_inverse=True)
        return y.astype(np.int32), _texts(values)
    if not indices and any(name in ("False", "True") or name.lstrip("-").isdigit() for name in class_names):
        values, y = np.unique(labels, return_inverse=True)
        if _are_names(values, class_names):
            return _look_up(_texts(values), class_names, y)[y], class_names
    bad = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
    if bad.size:
        raise InputError(
            f"y: expected 0..{len(class_names) - 1}, an index into the {len(class_names)} class names. "
            f"Received: {labels[bad[0]]} in row {bad[0]}."
        )
    return labels.astype(np.int32), class_names


def _texts(values: np.ndarray) -> tuple[str, ...]:
    """Class names from numbers; floats are whole numbers of any size and keep every digit."""
    numbers = values.tolist()
    return tuple(str(int(number) if values.dtype.kind == "f" else number) for number in numbers)


def _are_names(values: np.ndarray, class_names: tuple[str, ...]) -> bool:
    """Whether distinct numeric labels are class names rather than indices.

    Raises:
        InputError: they could be either, and would mean different classes.
    """
    texts = _texts(values)
    if not set(texts) <= set(class_names):
        return False
    if min(values) < 0 or max(values) >= len(class_names):
        return True
    for value, text in zip(values, texts, strict=True):
        if class_names[int(value)] != text:
            raise InputError(
                f"y: expected either indices into class_names or names in it. Received: {text}, the name "
                f"of a class and the index of class {class_names[int(value)]!r}. Give y as strings."
            )
    return False


def _text(label: str | bytes, labels: np.ndarray) -> str:
    """The class name of a label."""
    text = names.text(label)
    if text is None:
        raise InputError(
            f"y: expected Unicode text, or bytes in UTF-8. Received: {label!a} in row "
            f"{np.argmax(labels == label)}."
        )
    return text


def _look_up(found: tuple[str, ...], class_names: tuple[str, ...], y: np.ndarray) -> np.ndarray:
    """Indices of the distinct labels in class_names, int32; y [n] locates a label for messages."""
    known = set(class_names)
    unknown = [k for k, label in enumerate(found) if label not in known]
    if unknown:
        row = int(np.argmax(np.isin(y, unknown)))
        raise InputError(f"y: expected one of the class names. Received: {found[y[row]]!r} in row {row}.")
    return np.array(names.positions(found, class_names, "y"), np.int32)
