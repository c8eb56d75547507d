"""Rows by the level of a column: `evaluate.slices`, whose metrics are told level by level."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg import names as texts
from tf_logreg.data import csr, host_rows
from tf_logreg.data.source import Levels, Source
from tf_logreg.errors import InputError
from tf_logreg.tables import values
from tf_logreg.tables.table import Table, dictionary

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 20  # levels of a column; rarer words are joined
_OTHERS, _MISSING = "(others)", "(missing)"
_MIDNIGHT = " 00:00:00.000000"  # behind a day that was read without an hour


def of_table(table: Table, names: tuple[str, ...]) -> dict[str, Levels]:
    """The levels of some columns of a table, of those that are there.

    Words beyond the most frequent ones are one level, missing values another.

    Raises:
        InputError: a column of numbers or dates has more than MOST values.
    """
    return {
        name: _of_column(table.columns[name], name) for name in names if name in table.columns.column_names
    }


def with_levels(source: Source, names: tuple[str, ...], rows: dict[str, np.ndarray]) -> Source:
    """The source with levels of all these names; those that it lacks are features of few values.

    Args:
        source: in raw units.
        names: raw columns of a table, or features.
        rows: row ids by role; their values are read.

    Raises:
        InputError: no such column or feature, or one of more than MOST values.
    """
    lacking = [name for name in names if name not in source.levels]
    if not lacking:
        return source
    known = source.feature_names
    for name in lacking:
        if known.count(name) != 1:
            what = "the name of one column" if name in known else "columns of the table, or features"
            raise InputError(
                f"evaluate.slices: expected {what}. Received: {name!r}.{texts.did_you_mean(name, known)}"
            )
    ids = np.sort(np.concatenate(list(rows.values())))
    columns = [known.index(name) for name in lacking]
    parts = []
    for batch in host_rows.host_batches(source, ids):
        part = batch.x[:, columns]
        parts.append(part.toarray() if csr.issparse(part) else part)
    x = np.concatenate(parts)
    count = max(split.stop for split in source.splits.values())
    found = {}
    for name, column in zip(lacking, x.T, strict=True):
        distinct, place = np.unique(column, return_inverse=True)
        _check_few(len(distinct), name)
        codes = np.full(count, -1, np.int32)
        codes[ids] = place
        found[name] = Levels(_texts(distinct), codes)
    return dataclasses.replace(source, levels={**source.levels, **found})


def _texts(distinct: np.ndarray) -> tuple[str, ...]:
    """Different numbers as different texts, of six digits where these are enough."""
    for digits in (6, 9, 17):
        found = tuple(f"{value:.{digits}g}" for value in distinct.tolist())
        if len(set(found)) == len(found):
            break
    return found


def _of_column(column: pa.ChunkedArray, name: str) -> Levels:
    """The levels of a column: the most frequent first, or in the order of their numbers or dates."""
    place, words = dictionary(column)
    counts = np.bincount(place[place >= 0], minlength=len(words))
    order = np.argsort(-counts, kind="stable")
    if (kind := values.type_of(column.type)) not in ("word", "boolean"):
        _check_few(len(words), name)
        words = [word.removesuffix(_MIDNIGHT) for word in words]
        keys = words if kind == "date" else [float(word) for word in words]
        order = np.array(sorted(range(len(words)), key=keys.__getitem__), np.int64)
    kept = order[:MOST]
    code = np.full(len(words) + 1, len(kept), np.int32)  # the last is of missing values
    code[kept] = np.arange(len(kept))
    code[-1] = len(kept) + 1
    said = texts.told_apart((*(words[k] for k in kept), _OTHERS, _MISSING))
    return Levels(said, code[place])


def _check_few(count: int, name: str) -> None:
    """InputError for a column of too many numbers."""
    if count > MOST:
        raise InputError(
            f"evaluate.slices: expected words, or numbers of at most {MOST} values. Received: {count} values "
            f"of {name!r}."
        )
