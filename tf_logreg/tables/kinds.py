"""What a column of a table becomes: numbers, levels, buckets, hashes or words, each by its own record.

A kind holds what was learnt of its column in the training rows and is all that encoding needs: the host
encodes by it here, and the served graph (`graph.py`) by the same fields.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import NamedTuple

import numpy as np

JOINT = "\x1f"  # between the two words of a cross
TEXT_BUCKETS = 2**16  # of `text` without a number


class Words(NamedTuple):
    """A column of words: `code` [n] int32, index in the distinct `words`; -1 where the value is missing."""

    code: np.ndarray
    words: tuple[str, ...]


class Part(NamedTuple):
    """One feature a row: `place` [n] int32 among the column's, -1 for none; `value` [n] or None for ones."""

    place: np.ndarray
    value: np.ndarray | None = None


class Ragged(NamedTuple):
    """Several features a row, as the arrays of a CSR matrix; a place may occur again, its values add up."""

    indptr: np.ndarray
    place: np.ndarray
    value: np.ndarray


@dataclasses.dataclass(frozen=True)
class Numeric:
    """A number as it is, or log(1 + x).

    Attributes:
        mean: what stands for a missing number: the weighted mean of the training rows, in the units of the
            feature, as float32 holds it.
        has_indicator: whether 'is missing' is a feature too.
        is_log: log(1 + x) instead of x; numbers <= -1 count as missing.
    """

    mean: float = 0.0
    has_indicator: bool = False
    is_log: bool = False
    takes = "numbers"

    def features(self, name: str) -> tuple[str, ...]:
        """Their names."""
        return (f"log1p({name})" if self.is_log else name, *[f"{name} is missing"] * self.has_indicator)

    def encode(self, x: np.ndarray) -> list[Part]:
        """Features of numbers [n] float64, NaN where missing."""
        x, missing = self.known(x)
        parts = [Part(np.zeros(len(x), np.int32), np.where(missing, self.mean, x))]
        if self.has_indicator:
            parts.append(Part(np.where(missing, 1, -1).astype(np.int32)))
        return parts

    def known(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The feature [n] before missing numbers are filled in, and where they are missing."""
        if self.is_log:
            with np.errstate(invalid="ignore", divide="ignore"):
                x = np.where(x > -1, np.log1p(x), np.nan)
        return x, np.isnan(x)


@dataclasses.dataclass(frozen=True)
class Date:
    """Days since 1970 of a date, less `mean`, the mean of the training rows: no digit is lost.

    Attributes:
        mean: whole days.
        has_indicator: as of `Numeric`.
    """

    mean: float = 0.0
    has_indicator: bool = False
    takes = "numbers"

    def features(self, name: str) -> tuple[str, ...]:
        """Their names."""
        return (f"{name} (days)", *[f"{name} is missing"] * self.has_indicator)

    def encode(self, x: np.ndarray) -> list[Part]:
        """Features of days [n] float64, NaN where missing."""
        return Numeric(0.0, self.has_indicator).encode(x - self.mean)


@dataclasses.dataclass(frozen=True)
class Bucketized:
    """The bucket that a number is in, of len(edges) + 1.

    Attributes:
        edges: ascending; a bucket holds its lower edge.
        has_missing: whether 'is missing' is a feature; else a missing number has none.
        reference: the bucket without a feature, -1 for none.
    """

    edges: tuple[float, ...]
    has_missing: bool = False
    reference: int = -1
    takes = "numbers"

    def features(self, name: str) -> tuple[str, ...]:
        """Their names."""
        edges = [f"{edge:.6g}" for edge in self.edges]
        found = [f"{name} < {edges[0]}"]
        found += [f"{name} in [{low}, {high})" for low, high in itertools.pairwise(edges)]
        found += [f"{name} >= {edges[-1]}", *[f"{name} is missing"] * self.has_missing]
        return _all_but(found, self.reference)

    def encode(self, x: np.ndarray) -> list[Part]:
        """Features of numbers [n] float64, NaN where missing."""
        bucket = np.searchsorted(self.edges, x, side="right")
        bucket[np.isnan(x)] = len(self.edges) + 1 if self.has_missing else -1
        return [Part(without(bucket, self.reference))]


@dataclasses.dataclass(frozen=True)
class Categorical:
    """One feature a level.

    Attributes:
        levels: from the most frequent.
        has_other: whether rare and unseen levels have a feature together; else unseen ones have none.
        has_missing: whether a missing value has a feature; else it is one of the other levels.
        reference: place of the level without a feature, -1 for none.
    """

    levels: tuple[str, ...]
    has_other: bool = False
    has_missing: bool = False
    reference: int = -1
    takes = "words"

    def features(self, name: str) -> tuple[str, ...]:
        """Their names."""
        found = [f"{name}={level}" for level in self.levels]
        found += [f"{name} is other"] * self.has_other + [f"{name} is missing"] * self.has_missing
        return _all_but(found, self.reference)

    @property
    def other(self) -> int:
        """Place of a level that is none of `levels`."""
        return len(self.levels) if self.has_other else -1

    @property
    def missing(self) -> int:
        """Place of a missing value."""
        return len(self.levels) + self.has_other if self.has_missing else self.other

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {level: place for place, level in enumerate(self.levels)}

    def place_of(self, words: tuple[str, ...]) -> np.ndarray:
        """The feature of each word [len(words)] int32."""
        found = np.array([self._places.get(word, self.other) for word in words], np.int32)
        return without(found, self.reference)

    def encode(self, column: Words) -> list[Part]:
        """Features of words."""
        missing = without(np.array([self.missing]), self.reference)
        return [Part(np.concatenate([self.place_of(column.words), missing])[column.code])]


@dataclasses.dataclass(frozen=True)
class Hashed:
    """One of `buckets` features by a hash of the word; none where it is missing."""

    buckets: int
    takes = "words"

    def features(self, name: str) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"{name}#{bucket}" for bucket in range(self.buckets))

    def encode(self, column: Words) -> list[Part]:
        """Features of words."""
        from tf_logreg.tables import words  # imports TensorFlow

        return [Part(np.append(words.hashes(column.words, self.buckets), -1).astype(np.int32)[column.code])]


@dataclasses.dataclass(frozen=True)
class Text:
    """How often each hash of a word occurs in a text: `buckets` features; none where it is missing."""

    buckets: int = TEXT_BUCKETS
    takes = "words"

    def features(self, name: str) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"{name}#{bucket}" for bucket in range(self.buckets))

    def encode(self, column: Words) -> list[Ragged]:
        """Features of texts."""
        from tf_logreg.tables import words  # imports TensorFlow

        length, place = words.tokens((*column.words, ""), self.buckets)  # the last for missing texts
        start = np.cumsum(length) - length
        count = length[column.code]
        indptr = np.concatenate([[0], np.cumsum(count)])
        at = np.arange(indptr[-1]) - np.repeat(indptr[:-1], count) + np.repeat(start[column.code], count)
        return [Ragged(indptr, place[at], np.ones(len(at)))]


@dataclasses.dataclass(frozen=True)
class Ignored:
    """A column that becomes no feature, and why."""

    why: str = ""
    takes = "nothing"

    def features(self, name: str) -> tuple[str, ...]:
        """None."""
        return ()


Kind = Numeric | Date | Bucketized | Categorical | Hashed | Text | Ignored
KINDS = {kind.__name__.lower(): kind for kind in Kind.__args__}


def name_of(kind: Kind) -> str:
    """'numeric', 'categorical', ..., as files and messages call a kind."""
    return type(kind).__name__.lower()


def scaled(kind: Kind) -> np.ndarray:
    """Which features of a column standardisation scales: numbers, bool [features]."""
    found = np.zeros(len(kind.features("")), bool)
    if isinstance(kind, Numeric | Date):
        found[0] = True
    return found


def _all_but(names: list[str], reference: int) -> tuple[str, ...]:
    """Names of features without that of the reference level, -1 for none."""
    return tuple(name for place, name in enumerate(names) if place != reference)


def without(place: np.ndarray, reference: int) -> np.ndarray:
    """Places int32 after the one of the reference level is taken out; its rows have none."""
    if reference < 0:
        return place.astype(np.int32, copy=False)
    return np.where(place == reference, -1, place - (place > reference)).astype(np.int32)
