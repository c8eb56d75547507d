"""What rows to predict have that training had not seen, by column."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg.tables import encoding, kinds
from tf_logreg.tables.schema import Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa

_MORE = 0.05  # of missing values than in training, which are worth a line
_MOST_NAMED = 3
_MOST_COUNTED = 100_000  # distinct words of a column: those that come after them are not named


@dataclasses.dataclass
class Drift:
    """Counts over the blocks of rows that were `added`."""

    schema: Schema
    num_rows: int = 0

    def __post_init__(self):
        """Begins at zero."""
        self._missing = dict.fromkeys((column.name for column in self.schema.used), 0)
        self._outside = dict(self._missing)
        self._unseen_rows = dict(self._missing)
        self._unseen: dict[str, dict[str, int]] = {name: {} for name in self._missing}

    def add(self, table: pa.Table) -> None:
        """Counts the rows of a block, which has the schema's used columns."""
        self.num_rows += len(table)
        for column in self.schema.used:
            if column.kind.takes == "numbers":
                x = encoding.numbers_of(table, column)
                self._missing[column.name] += int(np.isnan(x).sum())
                if column.seen.low is not None:
                    self._outside[column.name] += int(((x < column.seen.low) | (x > column.seen.high)).sum())
            else:
                self._add_words(column, encoding.words_of(table, column))

    def _add_words(self, column: Column, found: kinds.Words) -> None:
        self._missing[column.name] += int((found.code < 0).sum())
        if not isinstance(column.kind, kinds.Categorical):
            return
        count = np.bincount(found.code[found.code >= 0], minlength=len(found.words))
        known, unseen = set(column.kind.levels), self._unseen[column.name]
        for word, times in zip(found.words, count.tolist(), strict=True):
            if word not in known and times:
                self._unseen_rows[column.name] += times
                if word in unseen or len(unseen) < _MOST_COUNTED:
                    unseen[word] = unseen.get(word, 0) + times

    def lines(self) -> list[str]:
        """A line for each column with something new; [] when there is nothing."""
        found = []
        for column in self.schema.used:
            unseen, outside = self._unseen[column.name], self._outside[column.name]
            if unseen:
                names = sorted(unseen, key=lambda word: (-unseen[word], word))
                more = ", ..." * (len(names) > _MOST_NAMED)
                shown = ", ".join(repr(name[:40]) for name in names[:_MOST_NAMED])
                what = f"{self._unseen_rows[column.name]:,} rows with levels that training had not, or rarely"
                found.append(f"{column.name}: {what}: {shown}{more}")
            if outside:
                found.append(f"{column.name}: {outside:,} rows outside training's {column.range}")
            share = self._missing[column.name] / max(self.num_rows, 1)
            if share > column.seen.missing + _MORE:
                found.append(f"{column.name}: {share:.1%} missing, in training {column.seen.missing:.1%}")
        return found
