"""Where to cut the scores of two classes: what each threshold would give, and the one that a rule takes.

Class 1 is called where its probability is above the threshold. Scores are log odds, in which the tails keep
their digits; a threshold is kept as a probability.
"""

from __future__ import annotations

import dataclasses

import numpy as np

_ROUNDING = 1e-12  # of shares, which are sums of weights


@dataclasses.dataclass(frozen=True)
class Cuts:
    """T thresholds, from calling no row to calling all of them, and the weight that each calls.

    Attributes:
        threshold: [T] probabilities, descending from 1 to 0.
        hits, others: [T] weight of the called rows of class 1, and of class 0; ascending, the last are all.
    """

    threshold: np.ndarray
    hits: np.ndarray
    others: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """Share of the weight that is called, [T]."""
        return (self.hits + self.others) / (self.hits[-1] + self.others[-1])

    @property
    def recall(self) -> np.ndarray:
        """Share of class 1 that is called, [T]."""
        return self.hits / self.hits[-1]

    @property
    def fall_out(self) -> np.ndarray:
        """Share of class 0 that is called, [T]."""
        return self.others / self.others[-1]

    @property
    def precision(self) -> np.ndarray:
        """Share of the called that are of class 1, [T]; NaN where none is called."""
        with np.errstate(invalid="ignore"):
            return self.hits / (self.hits + self.others)

    def metric(self, name: str, cost_fp: float = 1.0, cost_fn: float = 1.0) -> np.ndarray:
        """accuracy, f1, balanced_accuracy, youden or cost, [T]; the mean cost of a row is to be small."""
        members, rest = self.hits[-1], self.others[-1]
        missed = members - self.hits
        if name == "accuracy":
            return (self.hits + rest - self.others) / (members + rest)
        if name == "f1":
            return 2 * self.hits / (2 * self.hits + self.others + missed)
        if name == "cost":
            return (cost_fp * self.others + cost_fn * missed) / (members + rest)
        youden = self.recall - self.fall_out
        return youden if name == "youden" else (1 + youden) / 2

    def some(self, index: np.ndarray) -> Cuts:
        """The thresholds `index`."""
        return Cuts(self.threshold[index], self.hits[index], self.others[index])


def cuts(member: np.ndarray, score: np.ndarray, weight: np.ndarray) -> Cuts:
    """A threshold between each two neighbouring scores, and those of no row and of all.

    A threshold lies midway in log odds, so that no rounding of a score changes what is called. Neighbours
    that no probability tells apart, as beyond 36, have none between them.

    Args:
        member: bool [n], whether a row is of class 1; some of each kind.
        score: [n] finite, log odds of class 1.
        weight: [n] > 0.
    """
    import scipy.special  # which configs, that only look at METRICS, do not wait for

    order = np.argsort(score)[::-1]
    score, member, weight = score[order], member[order], weight[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of the rows of equal score
    hits, others = (
        np.append(0.0, np.cumsum(np.where(some, weight, 0.0))[last]) for some in (member, ~member)
    )
    above = np.append(np.inf, score[last])
    below = np.append(score[last], -np.inf)
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isinf(above), np.inf, (above + below) / 2)
    threshold = scipy.special.expit(middle)
    kept = scipy.special.logit(threshold)
    apart = (below <= kept) & ((kept < above) | np.isinf(above))
    return Cuts(threshold, hits, others).some(np.flatnonzero(apart))


def best(found: Cuts, metric: str, cost_fp: float, cost_fn: float) -> int:
    """The index of the threshold with the best metric, of equal ones the nearest to 0.5."""
    values = found.metric(metric, cost_fp, cost_fn) * (-1 if metric == "cost" else 1)
    return _nearest_to_half(found, values >= values.max() - _ROUNDING)


def at_recall(found: Cuts, share: float) -> int:
    """The highest threshold that calls this share of class 1, or more."""
    return int((found.recall >= share - _ROUNDING).argmax())


def at_precision(found: Cuts, share: float) -> int | None:
    """The threshold of the greatest recall whose precision is this or more; None where there is none."""
    reached = np.flatnonzero(np.nan_to_num(found.precision, nan=-1.0) >= share - _ROUNDING)
    return int(reached[-1]) if len(reached) else None


def at_rate(found: Cuts, share: float) -> int | None:
    """The lowest threshold that calls this share of all rows, or less; None where that is no row."""
    within = int(np.flatnonzero(found.rate <= share + _ROUNDING)[-1])
    return within if found.rate[within] > 0 else None


def table(found: Cuts, parts: int = 100) -> dict[str, np.ndarray]:
    """What thresholds give, from none called to all: at every 1/parts of all rows, and of class 1.

    Where class 1 is rare the latter are those of interest.

    Returns:
        threshold, rate, precision, recall, fall_out, accuracy, balanced_accuracy, f1 and youden, each [T],
        T <= 2 parts + 1; precision is NaN where no row is called.
    """
    steps = np.linspace(0, 1, parts + 1) - _ROUNDING
    some = found.some(np.union1d(*(np.searchsorted(share, steps) for share in (found.rate, found.recall))))
    columns = {name: getattr(some, name) for name in ("threshold", "rate", "precision", "recall", "fall_out")}
    return columns | {name: some.metric(name) for name in ("accuracy", "balanced_accuracy", "f1", "youden")}


def gains(found: Cuts, parts: int = 10) -> dict[str, np.ndarray]:
    """What the rows of the highest scores hold of class 1, down to each 1/parts of the weight.

    Of rows with equal scores across a border the share counts that is above it.

    Returns:
        rate, the share of all rows, gain, the share of class 1 that is in them, and lift, gain / rate, each
        [parts].
    """
    rate = np.arange(1, parts + 1) / parts
    gain = np.interp(rate, found.rate, found.recall)
    return {"rate": rate, "gain": gain, "lift": gain / rate}


def kolmogorov_smirnov(found: Cuts) -> tuple[float, float]:
    """The greatest distance between the distributions of the scores of both classes, and its threshold."""
    index = best(found, "youden", 1.0, 1.0)
    return float(found.recall[index] - found.fall_out[index]), float(found.threshold[index])


def _nearest_to_half(found: Cuts, allowed: np.ndarray) -> int:
    """The index of the allowed threshold that is nearest to 0.5."""
    return int(np.where(allowed, np.abs(found.threshold - 0.5), np.inf).argmin())
