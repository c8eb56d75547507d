"""The values of a column in the training rows, and what is told of them."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_logreg.tables import dates, encoding, kinds
from tf_logreg.tables.schema import Column, Seen

if TYPE_CHECKING:
    import pyarrow as pa

_EXAMPLES = 10


@dataclasses.dataclass(frozen=True)
class Values:
    """A column's values in the training rows.

    Attributes:
        name, type: of the column.
        weight: [n].
        numbers: [n] float64 with NaN, of types with numbers; else None.
        words: of types with words; else None.
    """

    name: str
    type: str
    weight: np.ndarray
    numbers: np.ndarray | None
    words: kinds.Words | None

    @functools.cached_property
    def missing(self) -> np.ndarray:
        """Rows without a value, bool [n]."""
        return self.words.code < 0 if self.numbers is None else np.isnan(self.numbers)

    @functools.cached_property
    def distinct(self) -> int:
        """How many values there are."""
        if self.words is not None:
            return int(np.count_nonzero(self._count))
        return len(np.unique(self.numbers[~self.missing]))

    @functools.cached_property
    def counts(self) -> tuple[list[str], np.ndarray, int]:
        """Words from the most frequent (equal ones by name), how many rows each has, and rows without one."""
        count, words = self._count, self.words.words
        order = sorted(np.flatnonzero(count).tolist(), key=lambda k: (-count[k], words[k]))
        return [words[k] for k in order], count[order], len(self.words.code) - int(count.sum())

    @functools.cached_property
    def _count(self) -> np.ndarray:
        """Rows of each word."""
        return np.bincount(self.words.code + 1, minlength=len(self.words.words) + 1)[1:]


def type_of(arrow: Any) -> str:
    """One of `schema.TYPES` for a type of Arrow."""
    import pyarrow as pa

    for name, is_it in (
        ("boolean", pa.types.is_boolean),
        ("integer", pa.types.is_integer),
        ("number", pa.types.is_floating),
        ("date", pa.types.is_timestamp),
        ("word", pa.types.is_string),
        ("word", pa.types.is_null),
    ):
        if is_it(arrow):
            return name
    return "other"


def values_of(table: pa.Table, name: str, weight: np.ndarray, *, as_words: bool = False) -> Values:
    """A column's values; with `as_words` texts are words even where all of them are dates."""
    found = type_of(table.schema.field(name).type)
    if (
        found == "word"
        and not as_words
        and table[name].null_count < len(table)
        and dates.are_dates(table[name])
    ):
        found = "date"
    bare = Column(name, found, kinds.Ignored())
    if found == "number" and _is_whole(encoding.numbers_of(table, bare)):
        found = "integer"  # with holes they are floats in pandas: a column is the same, wherever it was read
    numbers = encoding.numbers_of(table, bare) if found in ("integer", "number", "date") else None
    words = encoding.words_of(table, bare) if found in ("word", "boolean", "integer") else None
    if found == "other":
        words = kinds.Words(np.full(len(table), -1, np.int32), ())
    return Values(name, found, weight, numbers, words)


def _is_whole(x: np.ndarray) -> bool:
    """Whether there are numbers, and all are whole ones that float64 holds."""
    x = x[~np.isnan(x)]
    return len(x) > 0 and bool(((x == np.floor(x)) & (np.abs(x) <= 2**53)).all())


def seen_of(values: Values) -> Seen:
    """What people and `drift` are told of the training rows."""
    low = high = None
    frequent: list[str] = []
    if values.numbers is not None and not values.missing.all():
        low, high = float(np.nanmin(values.numbers)), float(np.nanmax(values.numbers))
    if values.words is not None and values.type != "other":
        frequent = [word[:40] for word in values.counts[0][:5]]
    share = float(values.missing.mean()) if len(values.missing) else 0.0
    distinct = 0 if values.type == "other" else values.distinct
    return Seen(share, distinct, low, high, tuple(frequent))


def examples_of(values: Values) -> tuple[float | str | None, ...]:
    """The first training rows' values."""
    if values.type == "other":
        return ()
    if values.numbers is not None:
        return tuple(None if np.isnan(x) else float(x) for x in values.numbers[:_EXAMPLES])
    words = (*values.words.words, None)
    return tuple(words[code] for code in values.words.code[:_EXAMPLES])
