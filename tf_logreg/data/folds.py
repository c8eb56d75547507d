"""Folds for cross-validation: drawn class by class, whole groups at a time, or forward in time; or given.

Each row has the number of one fold; a problem holds one fold out. Forward in time it also leaves out
later rows, so that fold h is predicted from its past alone, and the rows of fold 0 are never held out.
"""

import dataclasses

import numpy as np

from tf_logreg.data.source import Source
from tf_logreg.data.split import values_of
from tf_logreg.errors import InputError
from tf_logreg.names import describe, told_apart


@dataclasses.dataclass(frozen=True)
class Folds:
    """Folds of the training rows.

    Attributes:
        fold: int32 [n], the fold of each row.
        held_out: int32 [F], the fold that each problem holds out.
        latest: int32 [F], the last fold that trains in each problem.
    """

    fold: np.ndarray
    held_out: np.ndarray
    latest: np.ndarray

    def training(self, f: int) -> np.ndarray:
        """Numbers of the folds that train when fold `held_out[f]` is held out."""
        ids = np.arange(self.fold.max(initial=0) + 1)
        return ids[(ids != self.held_out[f]) & (ids <= self.latest[f])]


def none(num_rows: int) -> Folds:
    """One problem in which every row trains."""
    return Folds(
        np.zeros(num_rows, np.int32), np.full(1, -1, np.int32), np.full(1, np.iinfo(np.int32).max, np.int32)
    )


def make(
    source: Source, rows: np.ndarray, count: int, *, group: str = "", time: str = "", seed: int = 0
) -> Folds:
    """Divides rows into folds.

    Args:
        source: the rows.
        rows: int64 [n], the ids of the training rows.
        count: F, number of folds that are held out.
        group: name of the extra with groups, which stay in one fold (scikit-learn's GroupKFold); '' for none.
        time: name of the extra with times; a fold is predicted from earlier rows (TimeSeriesSplit: F + 1
            stretches of equal size, of which the first only trains; equal times stay together).
        seed: of the draw class by class (StratifiedKFold with shuffle).

    Raises:
        InputError: there are too few rows of a class, groups or times for `count` folds.
    """
    if count > len(rows):
        raise InputError(f"cv.folds: expected at most {len(rows)}, the training rows. Received: {count}.")
    last = np.full(count, np.iinfo(np.int32).max, np.int32)
    if time:
        fold = _by_time(values_of(source, "time", time, rows), count)
        held_out = np.arange(1, count + 1, dtype=np.int32)
        return Folds(fold, held_out, held_out)
    from sklearn.model_selection import GroupKFold, StratifiedKFold  # a second that only folds take

    fold, y = np.empty(len(rows), np.int32), source.labels(rows)
    if group:
        groups = np.unique(values_of(source, "group", group, rows), return_inverse=True)[1]
        if groups.max() + 1 < count:
            raise InputError(
                f"cv.folds: expected at most {groups.max() + 1}, the groups of data.group={group!r}. "
                f"Received: {count}."
            )
        parts = GroupKFold(count).split(rows, y, groups)
    else:
        sizes = np.bincount(y, minlength=len(source.class_names))
        rarest = int(sizes.argmin())
        if sizes[rarest] < count:
            raise InputError(
                f"cv.folds: expected at most {sizes[rarest]}, the training rows of class "
                f"{told_apart(source.class_names)[rarest]!r}. Received: {count}."
            )
        parts = StratifiedKFold(count, shuffle=True, random_state=seed).split(np.zeros(len(y)), y)
    for number, (_, test) in enumerate(parts):
        fold[test] = number
    return Folds(fold, np.arange(count, dtype=np.int32), last)


def given(tests: list[np.ndarray], num_rows: int) -> Folds:
    """Folds that someone else has drawn.

    Args:
        tests: F arrays of row numbers, which do not overlap; all other rows train beside each.
        num_rows: n; a row that is in none of them always trains.
    """
    fold, count = np.full(num_rows, len(tests), np.int32), len(tests)
    for number, test in enumerate(tests):
        fold[test] = number
    return Folds(fold, np.arange(count, dtype=np.int32), np.full(count, np.iinfo(np.int32).max, np.int32))


def check_classes(folds: Folds, class_weight_sums: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Checks that every class occurs in the training rows of each fold.

    Args:
        folds: F of them.
        class_weight_sums: [F, C], of the rows that train when each is held out.
        class_names: C names.

    Raises:
        InputError: a class has no weight; the message names the class and the fold.
    """
    for f, sums in enumerate(class_weight_sums):
        absent = tuple(np.array(told_apart(class_names))[sums == 0].tolist())
        if absent:
            raise InputError(
                f"cv.folds: expected training rows of every class beside each fold. Received: none of "
                f"{describe(absent)} beside fold {f + 1} of {len(folds.held_out)}."
            )


def _by_time(times: np.ndarray, count: int) -> np.ndarray:
    """Stretches of time 0..count, int32 [n]; the last `count` have n // (count + 1) rows each."""
    ordered, size = np.sort(times), len(times) // (count + 1)
    starts = ordered[[len(times) - size * left for left in range(count, 0, -1)]] if size else ordered[:0]
    fold = np.searchsorted(starts, times, side="right").astype(np.int32)
    if len(np.unique(fold)) <= count:
        raise InputError(
            f"cv.folds: expected fewer: {len(np.unique(times))} different times of {len(times)} rows do not "
            f"make {count + 1} stretches. Received: {count}."
        )
    return fold
