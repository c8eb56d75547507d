"""A cross-validation as scikit-learn has it -> splits of the rows, and which of them are solved together."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

from tf_logreg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Batch:
    """Splits of the rows that are solved together.

    Attributes:
        which: [F], numbers of the splits.
        folds: whether each split trains on all rows that it does not test, and no two test the same row.
    """

    which: list[int]
    folds: bool


def splits_of(cv: Any, x: Any, y: Any, params: dict) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row numbers (train, test) of each split.

    Args:
        cv: a number of folds, a splitter, an iterable of splits, or None for five folds; classes have equal
            shares in each fold of a number.
        x, y: the rows. params: of the splitter, such as groups.

    Raises:
        InputError: a split without rows on one side, or no splits.
        ValueError: scikit-learn's.
    """
    rows, found = np.arange(len(y)), []
    for sides in check_cv(cv, y, classifier=True).split(x, y, **params):
        train, test = (rows[np.asarray(side)] if len(side) else rows[:0] for side in sides)
        found.append((train, test))
        if not len(train) or not len(test):
            received = f"{len(train)} and {len(test)}"
            raise InputError(f"cv: expected rows on both sides of split {len(found)}. Received: {received}.")
    if not found:
        raise InputError("cv: expected at least one split. Received: none.")
    return found


def check_classes(
    splits: list[tuple[np.ndarray, np.ndarray]], y: np.ndarray, weight: np.ndarray, classes: np.ndarray
) -> None:
    """Checks that every class has training rows of weight > 0 in each split, and some row is tested.

    Args:
        splits: from `splits_of`.
        y: [n] class indices. weight: [n]. classes: [C], the labels.

    Raises:
        InputError: a class has none; the message names it and the split.
    """
    for number, (train, test) in enumerate(splits, 1):
        absent = np.bincount(y[train], weight[train], len(classes)) <= 0
        if absent.any():
            raise InputError(
                f"cv: expected training rows of every class in each split. Received: none of "
                f"{', '.join(repr(label) for label in classes[absent].tolist())} in split {number} of "
                f"{len(splits)}."
            )
        if not weight[test].any():
            raise InputError(
                f"cv: expected test rows with a weight > 0 in each split. Received: {len(test)} rows of "
                f"weight 0 in split {number} of {len(splits)}."
            )


def batches(splits: list[tuple[np.ndarray, np.ndarray]], num_rows: int) -> list[Batch]:
    """Which splits are solved together: the folds of a partition; any other split is alone.

    Several partitions, as of RepeatedKFold, are a batch each.
    """
    found, taken = [], np.zeros(num_rows, bool)
    for number, (train, test) in enumerate(splits):
        times = np.bincount(train, minlength=num_rows) + np.bincount(test, minlength=num_rows)
        folds = bool((times == 1).all())
        if not (folds and found and found[-1].folds) or taken[test].any():
            found.append(Batch([], folds))
            taken[:] = False
        found[-1].which.append(number)
        taken[test] = True
    return found
