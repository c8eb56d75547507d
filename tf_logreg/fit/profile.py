"""Profile-likelihood intervals: how far a coefficient may go while the others make the best of it.

The ends are where twice the log likelihood has fallen by the chi squared of one degree of freedom, found by
the method of Venzon and Moolgavkar (Applied Statistics 37, 1988): Newton's, for that fall and for zero scores
of all others together.
"""

import numpy as np
import scipy.linalg
import scipy.stats

from tf_logreg.exact import information
from tf_logreg.fit.likelihood import Maximum, Rows

_MOST_STEPS, _NEAR = 50, 1e-9  # of standard errors that a step moves


def ends(
    rows: Rows, found: Maximum, columns: information.Columns, place: int, level: float
) -> tuple[float, float]:
    """The interval of one coefficient theta, NaN for an end that is not found.

    Args:
        rows, found, columns: as of `likelihood.restricted`; the information there has full rank.
        place: j * q + i, of column i and output j.
        level: of the interval, in (0, 1).
    """
    target = -found.sums.loss - scipy.stats.chi2.ppf(level, 1) / 2
    low, high = (_end(rows, found, columns, place, target, side) for side in (-1, 1))
    return low, high


def _end(
    rows: Rows, found: Maximum, columns: information.Columns, place: int, target: float, side: int
) -> float:
    """One of the two."""
    theta, sums = found.theta, found.sums
    others = np.delete(np.arange(theta.size), place)
    for number in range(_MOST_STEPS):
        matrix = sums.information
        try:
            factor = scipy.linalg.cho_factor(matrix[np.ix_(others, others)])
        except np.linalg.LinAlgError:
            return np.nan
        along, alone = (
            scipy.linalg.cho_solve(factor, right[others]) for right in (matrix[place], sums.score)
        )
        # The likelihood along `place`, when the others are best, to second order.
        curvature = matrix[place, place] - matrix[place, others] @ along
        slope = sums.score[place] - matrix[place, others] @ alone
        rise = -sums.loss + sums.score[others] @ alone / 2 - target
        root = np.sqrt(max(slope**2 + 2 * curvature * rise, 0.0))
        if number == 0:
            move = (slope + side * root) / curvature
        else:  # of the two roots the nearer one
            move = min(((slope + sign * root) / curvature for sign in (-1, 1)), key=abs)
        step = np.empty(theta.size)
        step[place], step[others] = move, alone - along * move
        theta = theta + step.reshape(theta.shape[::-1]).T
        if abs(move) * np.sqrt(curvature) < _NEAR and number:
            return float(theta.T.ravel()[place])
        sums = rows.sums(theta, columns)
        if not np.isfinite(sums.loss):
            return np.nan
    return np.nan
