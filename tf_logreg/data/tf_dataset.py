"""A `tf.data.Dataset` of (features, label) or (features, label, weight), read once -> arrays.

Rows that take more than a share of the free memory are kept in a file, which is mapped into memory and gone
when the program ends: a dataset has no name by which another program could know it again.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil

from tf_logreg import storage
from tf_logreg.devices import memory
from tf_logreg.errors import InputError, brief

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger(__name__)

_SHARE = 0.25  # of the free memory that rows may take
_BLOCK_BYTES, _MOST_ROWS = 2**22, 1024  # of elements that are read together
_SECONDS = 10.0  # between two lines in the log
_ELEMENTS = "elements (features, label) or (features, label, weight)"


class Rows(NamedTuple):
    """n rows: x [n, *shape] in its own dtype, y [n] labels of any coding, weight [n] or None."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None


class _Element(NamedTuple):
    """What the elements of a dataset look like.

    Attributes:
        batched: whether an element is a batch of rows, as a label with an axis says, or one row.
        row_shape: of the features of a row; None where it is not known before they are read.
        dtype: of the features.
        is_text: whether labels are text.
    """

    batched: bool
    row_shape: tuple[int, ...] | None
    dtype: np.dtype
    is_text: bool


def is_dataset(data: Any) -> bool:
    """Whether it is a `tf.data.Dataset`; imports no TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(data, tensorflow.data.Dataset)


def read(dataset: tf.data.Dataset, cache_dir: str = "") -> Rows:
    """Reads a dataset once, in its order.

    Args:
        dataset: its elements are tuples of features, numbers of one shape; a label, a whole number or text;
            and a weight, if any. Each is a row (a label without an axis), or a batch of rows (a label [B]).
        cache_dir: where rows are kept that take more than a quarter of the free memory.

    Raises:
        InputError: elements of another structure, shapes that differ, no end, no rows, more than the disk
            holds, or an error of the dataset itself.
    """
    import tensorflow as tf

    element = _element(dataset)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InputError(
            "data: expected a dataset that ends. Received: one of infinite cardinality; dataset.take(n) has "
            "n elements."
        )
    x, rest, last = _Kept(cache_dir), [], time.perf_counter()
    for features, *others in _blocks(dataset, element):
        x.add(features)
        rest.append(others)
        if time.perf_counter() - last >= _SECONDS:
            last = time.perf_counter()
            log.info("Read %d rows of the dataset.", x.num_rows)
    if not x.num_rows:
        raise InputError("data: expected a dataset with rows. Received: none.")
    y, *weight = (np.concatenate(some) for some in zip(*rest, strict=True))
    return Rows(x.whole(), y.astype(np.bytes_) if element.is_text else y, *(weight or [None]))


class _Kept:
    """Features that come block by block, in memory or, beyond a share of it, in a file."""

    def __init__(self, cache_dir: str):
        self.num_rows, self._blocks, self._file = 0, [], None
        self._most, self._cache_dir = _SHARE * psutil.virtual_memory().available, cache_dir
        self._size = 0

    def add(self, block: np.ndarray) -> None:
        """Takes the next rows [B, *shape]."""
        if self._blocks and block.shape[1:] != self._blocks[0].shape[1:]:
            raise InputError(
                f"data: expected features of one shape, {self._blocks[0].shape[1:]} as in the first row. "
                f"Received: {block.shape[1:]} in row {self.num_rows}, counted from 0."
            )
        self.num_rows += len(block)
        self._size += block.nbytes
        if self._file is not None:
            self._write(block)
            return
        self._blocks.append(block)
        if self._size > self._most:
            folder = storage.cache_dir(self._cache_dir)
            log.info("The rows take more than a quarter of the free memory: they are kept in %s.", folder)
            self._file = storage.temporary(folder, "data.cache_dir")
            for one in self._blocks:
                self._write(one)
            self._blocks = self._blocks[:1]  # whose shape and dtype all have

    def _write(self, block: np.ndarray) -> None:
        try:
            self._file.append(block)
        except InputError as error:
            raise InputError(f"{error} If the dataset has no end, dataset.take(n) gives it one.") from None

    def whole(self) -> np.ndarray:
        """All rows [n, *shape]."""
        first = self._blocks[0]
        if self._file is not None:
            return self._file.mapped(first.dtype, first.shape[1:])
        found, start = memory.empty((self.num_rows, *first.shape[1:]), first.dtype), 0
        for block in self._blocks:
            found[start : start + len(block)] = block
            start += len(block)
        return found


def _blocks(dataset: tf.data.Dataset, element: _Element) -> Iterator[list[np.ndarray]]:
    """Features [B, *shape], labels [B] and, if any, weights [B], again and again."""
    import tensorflow as tf

    one_by_one = not element.batched
    if one_by_one and element.row_shape is not None:
        size = math.prod(element.row_shape) * element.dtype.itemsize
        dataset, one_by_one = dataset.batch(min(_MOST_ROWS, max(1, _BLOCK_BYTES // max(size, 1)))), False
    count = 0
    try:
        for found in dataset.as_numpy_iterator():
            block = [np.asarray(part)[None] if one_by_one else part for part in found]
            if len({len(part) for part in block}) > 1:
                sizes = ", ".join(str(len(part)) for part in block)
                raise InputError(
                    f"data: expected as many labels and weights as rows in a batch. Received: {sizes} in the "
                    f"batch that begins with row {count}, counted from 0."
                )
            if len(block[0]):
                count += len(block[0])
                yield block
    except tf.errors.OpError as error:
        raise InputError(f"data: the dataset failed after {count} rows: {brief(error.message)}.") from None


def _element(dataset: tf.data.Dataset) -> _Element:
    """What the elements look like; InputError where they are no rows."""
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        received = f"a tuple of {len(spec)}" if isinstance(spec, tuple) else f"a {_kind(spec)}"
        raise InputError(f"data: expected {_ELEMENTS}. Received: {received}.")
    import tensorflow as tf

    for name, part in zip(("features", "label", "weight"), spec, strict=False):
        if not isinstance(part, tf.TensorSpec):
            frame = "; a data frame or a dict of columns is taken itself" if isinstance(part, dict) else ""
            raise InputError(
                f"data: expected {_ELEMENTS}, each a dense tensor. Received: {_kind(part)} for the {name}"
                f"{frame}."
            )
    features, label, *weight = spec
    if not (features.dtype.is_floating or features.dtype.is_integer or features.dtype.is_bool):
        raise InputError(f"data: expected features that are numbers. Received: {features.dtype.name}.")
    rank = label.shape.rank
    if rank is None or rank > 1:
        raise InputError(
            "data: expected a label without an axis (an element is a row) or with one (it is a batch of "
            f"rows). Received: a label of shape {label.shape}; tf.argmax(label, -1) makes such of one-hot."
        )
    if weight and weight[0].shape.rank != rank:
        raise InputError(
            f"data: expected a weight for each label. Received: weights of shape {weight[0].shape} beside "
            f"labels of shape {label.shape}."
        )
    if features.shape.rank is not None and features.shape.rank <= rank:
        raise InputError(
            "data: expected features with an axis more than the label, one row or [B, p]. Received: features "
            f"of shape {features.shape} beside labels of shape {label.shape}."
        )
    shape = None if features.shape.rank is None else tuple(features.shape[rank:])
    known = None if shape is None or None in shape else shape
    dtype = np.dtype(features.dtype.as_numpy_dtype)
    return _Element(rank == 1, known, dtype, label.dtype == tf.string)


def _kind(spec: Any) -> str:
    """What a part of an element is, for messages."""
    name = type(spec).__name__
    return name.removesuffix("Spec") if name.endswith("Spec") else name
