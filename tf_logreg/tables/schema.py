"""`Schema`: what each column of a table is and becomes, and what was learnt of it in the training rows.

It is written as `schema.json` beside the model (`schema_file.py`), shown by --mode=describe, and given back
as data.schema. All that encodes or serves rows reads it, nothing else.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools

import numpy as np

from tf_logreg.tables import kinds

TYPES = ("integer", "number", "boolean", "word", "date", "other")


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the training rows had in a column.

    Attributes:
        missing: share of rows without a value.
        distinct: number of different values.
        low, high: range of numbers (days since 1970 of dates); None of words.
        frequent: the most frequent values as text, at most five.
        notes: hints and warnings for people.
    """

    missing: float = 0.0
    distinct: int = 0
    low: float | None = None
    high: float | None = None
    frequent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: as the table has it.
        type: one of `TYPES`, of its values.
        kind: what it becomes.
        seen: in the training rows.
        examples: its values in a few training rows, numbers or text; None where missing.
    """

    name: str
    type: str
    kind: kinds.Kind
    seen: Seen = Seen()
    examples: tuple[float | str | None, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its features."""
        return self.kind.features(self.name)

    @property
    def is_number(self) -> bool:
        """Whether a served model takes its values as numbers, even where they stand for words."""
        return self.kind.takes == "numbers" or self.type in ("integer", "number", "date")

    @property
    def range(self) -> str:
        """'17 to 90' of numbers, '2024-01-31 to 2024-12-24' of dates; '' of words."""
        low, high = self.seen.low, self.seen.high
        if low is None or high is None:
            return ""
        if self.type != "date":
            digits = 15 if self.type == "integer" else 6  # codes differ in their last ones
            return f"{low:.{digits}g} to {high:.{digits}g}"
        first = datetime.date(1970, 1, 1)
        return " to ".join((first + datetime.timedelta(days=day)).isoformat() for day in (low, high))


@dataclasses.dataclass(frozen=True)
class Cross:
    """Pairs of words of two columns.

    Attributes:
        columns: their names.
        kind: `Hashed`, or `Categorical` whose levels are pairs, joined by `kinds.JOINT`.
    """

    columns: tuple[str, str]
    kind: kinds.Hashed | kinds.Categorical

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its features."""
        first, second = self.columns
        if isinstance(self.kind, kinds.Hashed):
            return self.kind.features(f"{first} x {second}")
        pairs = [level.split(kinds.JOINT, 1) for level in self.kind.levels]  # the second may hold one too
        names = [f"{first}={a or 'missing'} x {second}={b or 'missing'}" for a, b in pairs]
        return (*names, *[f"{first} x {second} is other"] * self.kind.has_other)


@dataclasses.dataclass(frozen=True)
class Schema:
    """The columns of a table in its order, and what is made of them.

    Attributes:
        columns: all of the table but those that data.label, weight, offset, group and time name.
        crosses: further features.
        label: the column of the classes. label_type: of its values, as a column's.
    """

    columns: tuple[Column, ...]
    crosses: tuple[Cross, ...] = ()
    label: str = ""
    label_type: str = "word"

    @functools.cached_property
    def used(self) -> tuple[Column, ...]:
        """Columns that become features, or are crossed."""
        crossed = {name for cross in self.crosses for name in cross.columns}
        return tuple(
            column
            for column in self.columns
            if not isinstance(column.kind, kinds.Ignored) or column.name in crossed
        )

    @property
    def word_columns(self) -> tuple[str, ...]:
        """Names of used columns that held words in training."""
        return tuple(column.name for column in self.used if column.type == "word")

    @functools.cached_property
    def feature_names(self) -> tuple[str, ...]:
        """All features, in the order of the model's coefficients."""
        parts = (*self.columns, *self.crosses)
        return tuple(name for part in parts for name in part.features)

    @functools.cached_property
    def scaled(self) -> np.ndarray:
        """Which features standardisation scales: bool [p].

        Numbers, as their units differ. Levels, buckets and hashes are 0 and 1 everywhere: divided by its
        deviation a rare level would be penalised less than a frequent one.
        """
        parts = [kinds.scaled(column.kind) for column in self.columns]
        crosses = [np.zeros(len(cross.features), bool) for cross in self.crosses]
        return np.concatenate([*parts, *crosses, np.zeros(0, bool)])

    @functools.cached_property
    def columns_of_features(self) -> np.ndarray:
        """Which column or cross (after the columns) each feature comes from: int64 [p]."""
        parts = (*self.columns, *self.crosses)
        return np.repeat(np.arange(len(parts)), [len(part.features) for part in parts])

    def column(self, name: str) -> Column:
        """A column by its name."""
        return next(column for column in self.columns if column.name == name)
