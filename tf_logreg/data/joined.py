"""Sources of the same columns and classes, one after another, as one with a named split for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg.data.arrays import stretch
from tf_logreg.data.source import Batch, Source
from tf_logreg.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf


def joined(parts: Mapping[str, Source]) -> Source:
    """The rows of all parts; row ids go on from part to part.

    Args:
        parts: by the name of their split; dense rows in memory, or mapped into it, in the same classes, and
            without weights, offsets and extras.

    Raises:
        InputError: the parts have other numbers of columns.
    """
    first, *others = parts.values()
    for name, part in parts.items():
        if len(part.feature_names) != len(first.feature_names):
            raise InputError(
                f"x: expected {len(first.feature_names)} columns, as in the first rows. Received: "
                f"{len(part.feature_names)} in split {name!r}."
            )
    if not others:
        return first
    # Each part has one split of all its rows.
    starts = np.cumsum([0, *(sum(map(len, part.splits.values())) for part in parts.values())])
    splits = {name: range(starts[k], starts[k + 1]) for k, name in enumerate(parts)}
    dtype = np.result_type(*(part.x_dtype for part in parts.values()))
    some = list(zip(parts.values(), starts.tolist(), strict=False))

    def place(row: int) -> str:
        part, start = some[np.searchsorted(starts, row, side="right") - 1]
        return part.place(row - start)

    return Source(
        feature_names=first.feature_names,
        class_names=first.class_names,
        splits=splits,
        read=_reader(some, starts, dtype),
        labels=_labels(some, starts),
        x_dtype=dtype,
        place=place,
        host=_host(some, starts, dtype),
        row_shape=first.row_shape,
    )


def _which(starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The part of each row."""
    return np.searchsorted(starts, rows, side="right") - 1


def _labels(some: list[tuple[Source, int]], starts: np.ndarray) -> Callable:
    def labels(rows: np.ndarray) -> np.ndarray:
        which, found = _which(starts, rows), np.empty(len(rows), np.int32)
        for k in np.unique(which):
            part, start = some[k]
            found[which == k] = part.labels(rows[which == k] - start)
        return found

    return labels


def _host(some: list[tuple[Source, int]], starts: np.ndarray, dtype: np.dtype) -> Callable:
    def host(rows: np.ndarray) -> Batch:
        which = _which(starts, rows)
        there = np.unique(which) if len(rows) else [0]
        batches = []
        for k in there:
            part, start = some[k]
            batch = part.host(rows[which == k] - start)
            batches.append(batch._replace(x=batch.x.astype(dtype, copy=False)))
        if len(there) == 1:  # as mostly; nothing is copied
            return batches[0]._replace(row=rows)
        found = [np.empty((len(rows), *field.shape[1:]), field.dtype) for field in batches[0]]
        for k, batch in zip(there, batches, strict=True):
            for whole, field in zip(found, batch, strict=True):
                whole[stretch(np.flatnonzero(which == k))] = field
        return Batch(*found)._replace(row=rows)

    return host


def _reader(some: list[tuple[Source, int]], starts: np.ndarray, dtype: np.dtype) -> Callable:
    def read(rows: tf.Tensor) -> Batch:
        import tensorflow as tf

        which = tf.searchsorted(tf.constant(starts, tf.int64), tf.cast(rows, tf.int64), side="right") - 1
        places = [tf.where(which == k)[:, 0] for k in range(len(some))]
        batches = []
        for place, (part, start) in zip(places, some, strict=True):
            batch = part.read(tf.gather(rows, place) - tf.cast(start, rows.dtype))
            batches.append(batch._replace(x=tf.cast(batch.x, dtype), offset=tf.cast(batch.offset, dtype)))
        places = [tf.cast(place, tf.int32) for place in places]
        found = Batch(*(tf.dynamic_stitch(places, list(fields)) for fields in zip(*batches, strict=True)))
        found = [tf.ensure_shape(field, [rows.shape[0], *field.shape[1:]]) for field in found]
        return Batch(*found)._replace(row=rows)

    return read
