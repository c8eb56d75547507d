"""Coefficients and feature names as the arrays of a file, and back.

A model of sparse rows may have a million features of which a few count. Its file keeps coefficients that are
not zero and their places, where that is smaller, and of names that only count (x0, x1, ... or 1, 2, ...) the
first. A model of dense rows has the plain arrays that every version reads.
"""

import re

import numpy as np

_COUNTING = re.compile(r"(.*?)(0|[1-9][0-9]{0,9})", re.DOTALL)  # a prefix and a number


def packed(kernel: np.ndarray, feature_names: tuple[str, ...], *, sparse: bool) -> dict[str, np.ndarray]:
    """The arrays of a file.

    Args:
        kernel: [..., p, m]; of a path several kernels are in one array.
        feature_names: p names.
        sparse: whether the model was fitted to sparse rows.

    Returns:
        `kernel` and `feature_names`. With `sparse`, in place of a kernel that is mostly zero: `kernel_index`
        int64 [k], places in the kernel row by row, ascending; `kernel_value` [k]; `kernel_shape` int64. In
        place of names that count on from the first: `first_feature_name`.
    """
    arrays = {"kernel": kernel}
    if sparse:
        places = np.flatnonzero(kernel)
        if places.nbytes + 8 * len(places) < kernel.nbytes:
            arrays = {
                "kernel_index": places.astype(np.int64),
                "kernel_value": kernel.reshape(-1)[places],
                "kernel_shape": np.array(kernel.shape, np.int64),
            }
        if feature_names == _counted_on(feature_names[0], len(feature_names)):
            return {**arrays, "first_feature_name": np.array(feature_names[0])}
    return {**arrays, "feature_names": np.array(feature_names)}


def unpacked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a file with `kernel` [p, m] and `feature_names` [p] in full; others are passed on.

    Raises:
        ValueError: places, values and shape of a kernel disagree.
    """
    found = dict(arrays)
    if "kernel" not in found and "kernel_index" in found:
        found["kernel"] = _laid_out(
            *(found.pop(f"kernel_{part}", None) for part in ("index", "value", "shape"))
        )
    first = found.pop("first_feature_name", None)
    if first is not None and "feature_names" not in found and np.ndim(found.get("kernel")) == 2:
        names = (
            _counted_on(str(first), len(found["kernel"]))
            if first.ndim == 0 and first.dtype.kind == "U"
            else ()
        )
        if not names:
            raise ValueError(f"its 'first_feature_name' is {first}, no name that ends in a number")
        found["feature_names"] = np.array(names)
    return found


def _counted_on(first: str, count: int) -> tuple[str, ...]:
    """Names that count on from the first: 'x7', 'x8', ...; () if it does not end in a number."""
    match = _COUNTING.fullmatch(first)
    if not match:
        return ()
    prefix, start = match[1], int(match[2])
    return tuple(f"{prefix}{j}" for j in range(start, start + count))


def _laid_out(index: np.ndarray, value: np.ndarray | None, shape: np.ndarray | None) -> np.ndarray:
    """The kernel [p, m] with some values in some places, zero elsewhere."""
    for name, array, kind in (
        ("kernel_index", index, "i"),
        ("kernel_value", value, "f"),
        ("kernel_shape", shape, "i"),
    ):
        if array is None:
            raise ValueError(f"it lacks {name!r}")
        if array.ndim != 1 or array.dtype.kind != kind:
            raise ValueError(f"its {name!r} is of shape {array.shape} and dtype {array.dtype}")
    if len(shape) != 2 or not (shape > 0).all() or not (shape < 2**31).all() or len(value) != len(index):
        raise ValueError(
            f"its 'kernel_shape' is {shape.tolist()}, for {len(index)} places and {len(value)} values"
        )
    if len(index) and (index[0] < 0 or index[-1] >= shape.prod() or (np.diff(index) <= 0).any()):
        raise ValueError(f"its 'kernel_index' is not ascending within a kernel {shape.tolist()}")
    kernel = np.zeros(shape, value.dtype)
    kernel.reshape(-1)[index] = value
    return kernel
