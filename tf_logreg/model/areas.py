"""Areas under the ROC and the precision-recall curve of one class against the rest, from sorted scores."""

import numpy as np


def areas(member: np.ndarray, score: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and average precision; exact.

    Both curves have a point for each distinct score: the rows of at least that score are taken for members.

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
    return float(roc_area), float(more_hits @ (hits / (hits + others)) / hits[-1])
