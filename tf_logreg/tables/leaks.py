"""Columns that tell the label almost alone, which often means that they were made from it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tf_logreg.tables import kinds
from tf_logreg.tables.schema import Column

_MOST_ROWS = 100_000  # looked at
_TELLS = 0.95  # area under the ROC curve of a number, or share of the errors that levels take away
_MUCH, _ENOUGH = 0.05, 200  # share of the rows, and rows, from which on a level is looked at
_ONE_CLASS = 0.995  # share of one class in the rows of a level that tells
_MIXED = 0.1  # share of the smaller classes, below which one class in a level says little
MARK = "a leak?"  # how these notes begin
_FEW = 20  # rows of a level, on average, below which levels tell everything by chance


def notes(numbers: np.ndarray | None, words: kinds.Words | None, y: np.ndarray) -> list[str]:
    """A warning where a column alone, or a level of it, tells the classes y [n] apart; [] else."""
    step = -(-len(y) // _MOST_ROWS) or 1
    y = y[::step]
    if len(np.unique(y)) < 2:
        return []
    tells = 0.0
    if numbers is not None:
        tells = _area(numbers[::step], y)
    if words is not None and len(y) >= _FEW * max(len(words.words), 1):
        tells = max(tells, _purity(words.code[::step], y))
    if tells >= _TELLS:
        return [f"{MARK} it tells the label almost alone: is it known before the label is?"]
    return [] if words is None else _levels(words, step, y)


def said(columns: Iterable[Column]) -> list[str]:
    """What `notes` says of columns, each behind the column's name."""
    return [f"{one.name}: {note}" for one in columns for note in one.seen.notes if note.startswith(MARK)]


def _levels(words: kinds.Words, step: int, y: np.ndarray) -> list[str]:
    """A warning for the most frequent level whose rows are all but of one class."""
    code = words.code[::step]
    count = np.zeros((len(words.words) + 1, y.max() + 1))
    np.add.at(count, (code, y), 1)  # those without a word, -1, are the last
    rows, largest = count[:-1].sum(axis=1), count[:-1].max(axis=1)
    expected = count.sum(axis=0).max() / len(y)
    told = (rows >= _MUCH * len(y)) & (rows >= _ENOUGH) & (largest >= _ONE_CLASS * rows)
    if not told.any() or 1 - expected < _MIXED:
        return []
    level = int(np.where(told, rows, 0).argmax())
    share, rest, word = rows[level] / len(y), 1 - largest[level] / rows[level], words.words[level]
    return [
        f"{MARK} of the rows with {word[:40]!r}, {share:.0%} of all, all but {rest:.2%} are of one class: "
        "does it tell how the label came about?"
    ]


def _area(x: np.ndarray, y: np.ndarray) -> float:
    """Area under the ROC curve of x, missing as the lowest; the largest of all classes against the rest."""
    from scipy import stats

    rank = stats.rankdata(np.nan_to_num(x, nan=-np.inf))
    count = np.bincount(y)
    present = np.flatnonzero(count)
    rest = len(y) - count[present]
    mean = np.bincount(y, rank)[present] / count[present]
    area = (mean - (count[present] + 1) / 2) / np.maximum(rest, 1)
    return float(np.maximum(area, 1 - area).max())


def _purity(code: np.ndarray, y: np.ndarray) -> float:
    """The share of the majority's errors that are gone when each level has a majority of its own."""
    table = np.zeros((code.max() + 2, y.max() + 1))
    np.add.at(table, (code + 1, y), 1)
    wrong = len(y) - table.sum(axis=0).max()
    return float(1 - (len(y) - table.max(axis=1).sum()) / wrong) if wrong else 0.0
