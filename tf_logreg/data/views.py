"""Views of the same rows: features in another order, classes in another order or fewer of them."""

from __future__ import annotations

import collections
import dataclasses
import logging
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg import names
from tf_logreg.data import csr, host_rows
from tf_logreg.data.source import Batch, Source
from tf_logreg.errors import InputError
from tf_logreg.names import describe

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger(__name__)

_BLOCK_ROWS = 2**20
_BLOCK_NUMBERS = 2**24
_MOST_NAMES = 5  # in a warning


def with_columns(source: Source, columns: tuple[str, ...]) -> Source:
    """The same rows with the features in the order of `columns`, matched by name.

    A sparse source may have fewer or other features. What it lacks is zero. What it has beside `columns` is
    left out, with a warning that counts these columns.

    Raises:
        InputError: the source has other features and is dense, or has two of the same name in another order.
    """
    if source.feature_names == columns:
        return source
    if source.sparse:
        return _with_columns_of_sparse_rows(source, columns)
    missing, other = (
        tuple(name for name in some if name not in known)
        for some, known in ((columns, set(source.feature_names)), (source.feature_names, set(columns)))
    )
    if missing or other:
        differences = [f"without {describe(missing)}"] * bool(missing) + [f"with {describe(other)}"] * bool(
            other
        )
        raise InputError(
            f"data: expected the run's {len(columns)} features. Received: {len(source.feature_names)}, "
            f"{' and '.join(differences)}."
        )
    _check_distinct(source, columns)
    at = {name: j for j, name in enumerate(source.feature_names)}
    order = np.array([at[name] for name in columns])

    def read(rows: tf.Tensor) -> Batch:
        import tensorflow as tf

        batch = source.read(rows)
        return batch._replace(x=tf.gather(batch.x, order, axis=1))

    def host(rows: np.ndarray) -> Batch:
        batch = source.host(rows)
        return batch._replace(x=batch.x[:, order])

    return dataclasses.replace(source, feature_names=columns, read=read, host=source.host and host)


def _with_columns_of_sparse_rows(source: Source, columns: tuple[str, ...]) -> Source:
    """`with_columns` of a sparse source."""
    shared = min(len(columns), len(source.feature_names))
    if source.feature_names[:shared] == columns[:shared]:  # files with a lower or higher last id
        place = np.arange(len(source.feature_names))
        place[shared:] = -1
    else:
        _check_distinct(source, columns)
        at = {name: j for j, name in enumerate(columns)}
        place = np.array([at.get(name, -1) for name in source.feature_names])
    unknown = np.flatnonzero(place < 0)
    if len(unknown):
        count = sum(
            np.bincount(batch.x.indices, minlength=len(place))
            for rows in source.splits.values()
            for batch in host_rows.host_batches(source, np.arange(rows.start, rows.stop), _BLOCK_NUMBERS)
        )
        log.warning(
            "data: %d columns, with %d of %d values, are none of the run's %d features and are left out: %s",
            len(unknown),
            count[unknown].sum(),
            count.sum(),
            len(columns),
            describe(tuple(source.feature_names[j] for j in unknown), _MOST_NAMES),
        )

    def host(rows: np.ndarray) -> Batch:
        batch = source.host(rows)
        return batch._replace(x=csr.with_columns(batch.x, place, len(columns)))

    return dataclasses.replace(source, feature_names=columns, host=host)


def _check_distinct(source: Source, columns: tuple[str, ...]) -> None:
    """InputError if features cannot be matched by name, because several have the same."""
    twice = tuple(_several(columns) | _several(source.feature_names))
    if twice:
        raise InputError(
            f"data: expected the run's {len(columns)} features in its order, since several are called "
            f"{describe(twice)}. Received: {len(source.feature_names)} in another order."
        )


def present_classes(source: Source, splits: set[str]) -> np.ndarray:
    """Which classes have rows in some named splits: bool [C].

    If rows are not in memory all are assumed present, as reading every row would be expensive.
    """
    if source.host is None:
        return np.ones(len(source.class_names), bool)
    present = np.zeros(len(source.class_names), bool)
    for rows in (source.splits[split] for split in splits):
        for start in range(rows.start, rows.stop, _BLOCK_ROWS):
            present[source.labels(np.arange(start, min(start + _BLOCK_ROWS, rows.stop)))] = True
    return present


def with_classes(source: Source, class_names: tuple[str, ...], present: np.ndarray | None = None) -> Source:
    """The same rows with labels that are indices into `class_names`, which may hold more classes.

    If the present classes equal `class_names`, they are matched by position, else by name.

    Args:
        source: the rows.
        class_names: the new classes.
        present: bool [C], which of the source's classes count; all when None. Labels of others become -1.

    Raises:
        InputError: the source has a class that is not among them, or a name that several classes share.
    """
    if source.class_names == class_names:
        return source
    there = np.arange(len(source.class_names)) if present is None else np.flatnonzero(present)
    found = tuple(source.class_names[k] for k in there)
    index = np.full(len(source.class_names), -1, np.int32)
    if found == class_names:
        index[there] = np.arange(len(found))
    else:
        known = set(class_names)
        unknown = tuple(name for name in found if name not in known)
        if unknown:
            raise InputError(
                f"y: expected the classes {describe(class_names)}. Received: {describe(unknown)}."
            )
        names.positions(found, found, "y")
        index[there] = names.positions(found, class_names, "y")
    # Where each class stands in what was declared: also one without rows, if its name says so.
    several = _several(source.class_names)
    by_name = {name: k for k, name in enumerate(source.class_names) if name not in several}
    own = {int(c): k for k, c in enumerate(index) if c >= 0}
    before = source.positions or range(len(source.class_names))
    places = [own.get(c, by_name.get(name, -1)) for c, name in enumerate(class_names)]

    def read(rows: tf.Tensor) -> Batch:
        import tensorflow as tf

        batch = source.read(rows)
        return batch._replace(y=tf.gather(index, batch.y))

    def host(rows: np.ndarray) -> Batch:
        batch = source.host(rows)
        return batch._replace(y=index[batch.y])

    return dataclasses.replace(
        source,
        class_names=class_names,
        read=read,
        labels=lambda rows: index[source.labels(rows)],
        host=source.host and host,
        declared=source.declared or source.class_names,
        positions=tuple(before[place] if place >= 0 else -1 for place in places),
    )


def with_positive_class(source: Source, name: str) -> Source:
    """The same binary source with class `name` as class 1, whose probability the sigmoid gives.

    Raises:
        InputError: the source is not binary, has no such class, or two of that name.
    """
    if name not in source.class_names or len(source.class_names) != 2:
        raise InputError(
            f"data.positive_class: expected one of the two classes of a binary problem. Received: "
            f"{name!r}; the classes are {describe(source.class_names)}."
        )
    (place,) = names.positions((name,), source.class_names, "data.positive_class")
    return source if place == 1 else with_classes(source, source.class_names[::-1])


def _several(some: tuple[str, ...]) -> dict[str, int]:
    """The names that occur more than once, in order, and how often each does."""
    if len(set(some)) == len(some):
        return {}
    return {name: count for name, count in collections.Counter(some).items() if count > 1}
