"""Arrays that an estimator is given -> a `Source`, by scikit-learn's own checks.

What they refuse they refuse in scikit-learn's words. X is not copied where it is an array of numbers,
and not searched for NaN here: the scan that every fit makes does that.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from tf_logreg.data import csr
from tf_logreg.data import dataset as datasets
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.dataset import Dataset
from tf_logreg.data.source import Source, with_offset
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.model import head as heads

_WIDEST_RANGE = 10_000  # of whole labels that are counted rather than sorted


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labels of rows.

    Attributes:
        classes: [C], the distinct labels as they were given, in increasing order.
        y: [n] int32, index in `classes`.
    """

    classes: np.ndarray
    y: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """The classes as text; whole floats without their point."""
        whole = self.classes.dtype.kind == "f"
        return tuple(str(int(label) if whole else label) for label in self.classes.tolist())


def rows_of(
    estimator: Any, x: Any, y: Any, sample_weight: Any = None, offset: Any = None
) -> tuple[Source, Labels]:
    """The rows of a fit; sets `n_features_in_` and `feature_names_in_`.

    Args:
        estimator: its `output` is read.
        x: [n, p] real numbers, of any dtype, layout or kind of frame, or any format of `scipy.sparse`.
        y: [n] labels.
        sample_weight: [n] >= 0, or None.
        offset: [n], or [n, C] for a softmax, added to the logits; or None.

    Raises:
        ValueError, TypeError: scikit-learn's own; among them InputError, ours.
    """
    _check_masks(x)
    if _is_plain(x) and _is_plain_column(y) and y.shape == x.shape[:1]:
        x = _numbers(x)
        vars(estimator).pop("feature_names_in_", None)
        estimator.n_features_in_ = x.shape[1]
    else:
        x, y = validate_data(estimator, x, y, dtype=_dtypes(x), accept_sparse="csr", ensure_all_finite=False)
    labels = encode(y)
    if len(labels.classes) < 2:
        raise InputError(
            f"y: expected at least two classes. Received: one class, {labels.classes.tolist()[0]!r}: "
            "the classifier can't train when only one class is present."
        )
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
        _check_weights(weight, labels)
    if offset is not None:
        head = heads.resolve(estimator.output, len(labels.classes))
        offset = _checked_offset(offset, len(labels.y), head)
    make = from_sparse if csr.issparse(x) else from_arrays
    source = make(
        x,
        labels.y,
        class_names=labels.names,
        feature_names=tuple(map(str, getattr(estimator, "feature_names_in_", ()))),
        weight=weight,
        extras={} if offset is None else {"offset": offset},
    )
    if offset is not None:
        source = with_offset(source, "offset", head.outputs)
    return source, labels


def count(source: Source) -> int:
    """Number of rows, n."""
    return max(part.stop for part in source.splits.values())


def arrays_of(source: Source) -> dict[str, np.ndarray]:
    """The arrays that a fit to all rows depends on, by the names of `fit`'s arguments; names are texts."""
    batch = source.host(np.arange(count(source)))
    x = {"X": batch.x}
    if source.sparse:
        x = {"X": batch.x.data, "ids of X": batch.x.indices, "rows of X": batch.x.indptr}
    return {
        **x,
        "y": batch.y,
        "sample_weight": batch.weight,
        "offset": batch.offset,
        "feature names": np.array(source.feature_names),
        "classes": np.array(source.class_names),
    }


def encode(y: np.ndarray) -> Labels:
    """Labels [n] of any kind -> classes and indices.

    Raises:
        ValueError: scikit-learn's, where they are numbers of a regression.
    """
    if not _is_plain_column(y):
        y = column_or_1d(y)
    if y.dtype.kind in "iub":
        # Whole numbers are classes for certain, and where they are few and close, counting beats sorting.
        low, high = int(y.min()), int(y.max())
        if high - low < _WIDEST_RANGE:
            kind = np.uint64 if y.dtype.kind == "u" else np.int64  # in which no difference overflows
            places = (y.astype(kind) - kind(low)).astype(np.int64)
            count = np.bincount(places, minlength=high - low + 1)
            classes = (np.flatnonzero(count).astype(kind) + kind(low)).astype(y.dtype)
            index = np.cumsum(count > 0, dtype=np.int32) - np.int32(1)
            return Labels(classes, index[places])
    check_classification_targets(y)
    classes, index = np.unique(y, return_inverse=True)
    return Labels(classes, index.astype(np.int32))


def columns_of(estimator: Any, x: Any) -> np.ndarray | csr.csr_array:
    """X of a fitted estimator's predictions, [n, p]; not searched for NaN, see `answers`.

    Raises:
        ValueError, TypeError: scikit-learn's: other features than at fit, no matrix of numbers.
    """
    _check_masks(x)
    named = hasattr(estimator, "feature_names_in_")
    if _is_plain(x) and not named and x.shape[1] == estimator.n_features_in_:
        return _numbers(x)
    found = validate_data(
        estimator, x, reset=False, dtype=_dtypes(x), accept_sparse="csr", ensure_all_finite=False
    )
    return csr.csr_array(found) if csr.issparse(found) else found


def check_finite(estimator: Any, x: np.ndarray | csr.csr_array) -> None:
    """scikit-learn's ValueError where X has NaN or infinity; asked when a number shows it."""
    assert_all_finite(x, estimator_name=type(estimator).__name__, input_name="X")


def _check_weights(weight: np.ndarray, labels: Labels) -> None:
    """InputError where all rows, or all of a class, have weight 0."""
    if not weight.any():
        raise InputError(f"sample_weight: expected some weights > 0. Received: all {len(weight)} are zero.")
    empty = np.bincount(labels.y, weight) <= 0
    if empty.any():
        label = labels.classes[empty].tolist()[0]
        raise InputError(
            f"sample_weight: expected a weight > 0 in every class. Received: class {label!r} has only "
            "rows of weight 0."
        )


def _checked_offset(offset: Any, count: int, head: heads.Head) -> np.ndarray:
    """The offset as an array with an entry a row; InputError where it has none, or for one-vs-rest."""
    offset = np.asarray(offset)
    if head.is_one_vs_rest:
        raise InputError(f"offset: expected None with output='one_vs_rest'. Received: shape {offset.shape}.")
    if offset.ndim == 0 or len(offset) != count:
        each = "one a row" if head.outputs == 1 else f"{head.outputs} a row"
        raise InputError(f"offset: expected {count} values, {each}. Received: shape {offset.shape}.")
    return offset


def _check_masks(x: Any) -> None:
    """InputError for a masked array, whose mask scikit-learn's checks would drop."""
    if np.ma.is_masked(x):
        raise InputError("X: expected a value everywhere. Received: a masked array.")


def _is_plain(x: Any) -> bool:
    """Whether x is a matrix of real numbers in NumPy, which leaves scikit-learn nothing to check.

    Its checks ask for the plugins of a library of frames, which takes 20 ms the first time: as long as a
    small fit.
    """
    return type(x) is np.ndarray and x.ndim == 2 and x.dtype.kind in "fiub" and x.size > 0


def _is_plain_column(y: Any) -> bool:
    """Whether y is a column of whole numbers in NumPy; as `_is_plain`."""
    return type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iub" and y.size > 0


def _numbers(x: np.ndarray) -> np.ndarray:
    """The array in a dtype of `_dtypes`; itself where it has one."""
    dtypes = _dtypes(x)
    return x if dtypes is None or x.dtype in dtypes else x.astype(np.float64)


def _dtypes(x: Any) -> Any:
    """Dtypes in which X is taken: short integers and floats of 4 and 8 bytes as they are, else float64."""
    small = isinstance(x, np.ndarray) and x.dtype.kind in "iub" and x.dtype.itemsize <= 2
    return None if small else [np.float64, np.float32]


def dtype_of(dtype: str, source: Source, x: Any) -> str:
    """The dtype of X while training: X's own float dtype for 'auto', float64 for other kinds."""
    if dtype != "auto":
        return dtype
    short = isinstance(x, np.ndarray) and x.dtype.kind in "iub"  # which is read as float32 too
    return "float32" if source.x_dtype == np.float32 and not short else "float64"


def dataset_of(estimator: Any, source: Source, settings: ConfigDict, devices: Devices) -> Dataset:
    """All rows of a source, checked and counted.

    Raises:
        ValueError: scikit-learn's, where X has NaN or infinity; InputError for other unusable rows.
    """
    rows = {"train": np.arange(count(source))}
    try:
        return datasets.of_rows(source, rows, settings, devices)
    except InputError:
        check_values(estimator, source)
        raise


def check_values(estimator: Any, source: Source) -> None:
    """scikit-learn's ValueError where X has NaN or infinity, after our own refused it."""
    check_finite(estimator, source.host(np.arange(count(source))).x)
