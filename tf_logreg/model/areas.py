"""Areas under the ROC and the precision-recall curve of one class against the rest, from sorted scores."""

from typing import NamedTuple

import numpy as np


class Areas(NamedTuple):
    """Areas of one class.

    Attributes:
        roc: area under the ROC curve.
        precision: average precision.
        roc_deviation: standard error of `roc` (DeLong, DeLong and Clarke-Pearson, Biometrics 1988); None with
            unequal weights, or fewer than two rows of a kind.
    """

    roc: float
    precision: float
    roc_deviation: float | None


def areas(member: np.ndarray, score: np.ndarray, weight: np.ndarray) -> Areas:
    """Areas under both curves, exact; each has a point for each distinct score, the threshold of members.

    Args:
        member: bool [n], some of each kind. score: [n] finite. weight: [n] > 0.
    """
    order = np.argsort(score)[::-1]
    score, member, weight = score[order], member[order], weight[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of the rows of equal score
    hits, others = (np.cumsum(np.where(some, weight, 0.0))[last] for some in (member, ~member))
    # Trapezoids under the ROC curve; steps under the other.
    more_hits, more_others = (np.diff(taken, prepend=0.0) for taken in (hits, others))
    roc_area = more_others @ (hits - more_hits / 2) / (hits[-1] * others[-1])
    precision = more_hits @ (hits / (hits + others)) / hits[-1]
    unit = weight[0] if (weight == weight[0]).all() else None
    deviation = None if unit is None else _deviation(more_hits / unit, more_others / unit, float(roc_area))
    return Areas(float(roc_area), float(precision), deviation)


def deviation_of_difference(member: np.ndarray, one: np.ndarray, other: np.ndarray) -> float | None:
    """The standard error of the difference of two areas over the same rows (DeLong et al., 1988, eq. 5).

    Args:
        member: bool [n]. one, other: [n] finite scores.

    Returns:
        None of fewer than two rows of a kind.
    """
    most, rest = int(member.sum()), int((~member).sum())
    if most < 2 or rest < 2:
        return None
    apart = (a - b for a, b in zip(_placements(member, one), _placements(member, other), strict=True))
    return float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in apart)))


def _placements(member: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By member the share of others that it is above, by other row that of members above it; ties half."""
    rank, most, rest = _ranks(score), member.sum(), (~member).sum()
    of_members = (rank[member] - _ranks(score[member])) / rest
    return of_members, 1 - (rank[~member] - _ranks(score[~member])) / most


def _ranks(score: np.ndarray) -> np.ndarray:
    """The place of each score from below, [n]; of equal ones the mean of their places."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _deviation(hits: np.ndarray, others: np.ndarray, area: float) -> float | None:
    """The standard error of an area from the numbers of rows of each distinct score, the highest first.

    A member's placement is the share of others that it is above, ties by half; that of another row is the
    share of members above it. Both have the area as their mean, and their variances add up.
    """
    most, rest = hits.sum(), others.sum()
    if most < 2 or rest < 2:
        return None
    of_members = 1 - (np.cumsum(others) - others / 2) / rest
    of_others = (np.cumsum(hits) - hits / 2) / most
    variance = hits @ np.square(of_members - area) / (most - 1) / most
    variance += others @ np.square(of_others - area) / (rest - 1) / rest
    return float(np.sqrt(variance))
