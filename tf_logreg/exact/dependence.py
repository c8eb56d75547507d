"""The rank of the columns whose coefficients have no penalty, and which of them depend on others.

Where they depend on each other the optimum is not one point: single coefficients are not identified, while
predictions are. A combination of columns counts as none when what is left of it is no more than the rounding
of the numbers as they came, or a hundred units of float64's last digit, which the decomposition loses.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import scipy.linalg

from tf_logreg.exact import decomposition, separation
from tf_logreg.exact.host import Block, Problem

_MOST_OPERATIONS = 2e11  # about a minute
_ROUNDINGS = 4  # of the source's dtype, as of a sum of a few columns
_LOST = 100 * np.finfo(np.float64).eps
_TAKES_PART = 1e-4  # of a column in a combination of columns of length one


class Dependence(NamedTuple):
    """Of `columns` unpenalised columns `rank` are independent of each other and of the bias.

    takes_part: [p] bool, those in a combination that is none.
    """

    rank: int
    columns: int
    takes_part: np.ndarray


def dependence(
    blocks: Callable[[], Iterable[Block]], problem: Problem, scale: np.ndarray, eps: float
) -> Dependence | None:
    """The dependence of the unpenalised columns; None where there is none, or too much to decompose.

    Args:
        blocks: gives all rows, anew each time it is called.
        problem: says which columns have no penalty, and which rows count.
        scale: [p], one over the spread of each column.
        eps: relative rounding of the numbers as they came.
    """
    free = ((problem.l1 == 0) & (problem.l2 == 0)).any(axis=1)
    features = np.flatnonzero(free)
    columns = int(free[: len(scale)].sum())
    if not columns:
        return None
    parts, count, waiting = [], 0, 0
    for block in blocks():
        use = problem.weights(block) > 0
        count += int(use.sum())
        if count * min(count, features.size) * features.size > _MOST_OPERATIONS:
            return None
        for _, rows in separation.few_rows(separation.design_rows(block.x[use], problem, scale, features)):
            parts.append(rows)
            waiting += len(rows)
            # As many rows at a time as the triangle has, whose columns each decomposition takes up again.
            if waiting > features.size:
                parts, waiting = [_triangle(parts)], 0
    triangle = _triangle(parts)
    length = np.linalg.norm(triangle, axis=0)
    _, singular, directions = decomposition.svd(triangle / np.where(length > 0, length, 1), full=True)
    singular = np.pad(singular, (0, features.size - len(singular)))
    # Rounding is of the numbers before they were centred.
    size = np.append(np.hypot(problem.centre * scale, 1.0), 1.0)[features]
    rounding = _ROUNDINGS * eps * np.linalg.norm(directions * size, axis=1) + _LOST * np.sqrt(features.size)
    null = directions[singular <= rounding]
    if not len(null):
        return None
    takes_part = np.zeros(len(free), bool)
    takes_part[features] = np.linalg.norm(null, axis=0) > _TAKES_PART
    return Dependence(columns - len(null), columns, takes_part[: len(scale)])


def _triangle(parts: list[np.ndarray]) -> np.ndarray:
    """R of the QR decomposition of rows, with no more of them than columns."""
    rows = np.vstack(parts)
    if len(rows) <= rows.shape[1]:
        return rows
    found = scipy.linalg.qr(rows, mode="r", overwrite_a=True, check_finite=False)[0]
    return found[: rows.shape[1]]
