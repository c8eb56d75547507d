"""Columns that tell the label almost alone, which often means that they were made from it."""

from __future__ import annotations

import numpy as np

from tf_logreg.tables import kinds

_MOST_ROWS = 100_000  # looked at
_TELLS = 0.95  # area under the ROC curve of a number, or share of the errors that levels take away
_FEW = 20  # rows of a level, on average, below which levels tell everything by chance


def notes(numbers: np.ndarray | None, words: kinds.Words | None, y: np.ndarray) -> list[str]:
    """A warning where a column alone tells the classes y [n] apart; [] else."""
    step = -(-len(y) // _MOST_ROWS) or 1
    y = y[::step]
    if len(np.unique(y)) < 2:
        return []
    tells = 0.0
    if numbers is not None:
        tells = _area(numbers[::step], y)
    if words is not None and len(y) >= _FEW * max(len(words.words), 1):
        tells = max(tells, _purity(words.code[::step], y))
    if tells < _TELLS:
        return []
    return ["a leak? it tells the label almost alone: is it known before the label is?"]


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
