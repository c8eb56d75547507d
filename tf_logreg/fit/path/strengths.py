"""The strengths of a path, and the choice among them by held-out losses, in NumPy alone."""

import math

import numpy as np

CHOICES = ("best", "one_standard_error")
METRICS = ("log_loss", "accuracy", "balanced_accuracy", "roc_auc")
_FURTHER = 4  # a grid is extended by a quarter of its original length at a time
MOST_GRIDS = 3  # up to three times that length


def grid(num: int, ratio: float, largest: float) -> np.ndarray:
    """`num` strengths on a log scale from `largest` down to ratio * largest."""
    return np.geomspace(largest, ratio * largest, num)


def losses(metric: str, scores: np.ndarray) -> np.ndarray:
    """Scores by one of METRICS as numbers of which the lowest is the best."""
    return scores if metric == "log_loss" else -scores


def still_falls(losses: np.ndarray) -> bool:
    """Whether the last of N strengths has the lowest mean of the held-out losses [N, F]."""
    mean = losses.mean(axis=1)
    return not np.isnan(mean[-1]) and int(np.nanargmin(mean)) == len(mean) - 1


def next_values(values: np.ndarray, num: int) -> np.ndarray:
    """Further strengths of a grid that started with `num`, by the same step; none at three times `num`."""
    step = values[1] / values[0]
    count = min(max(1, num // _FURTHER), MOST_GRIDS * num - len(values))
    return values[-1] * step ** np.arange(1, count + 1)


def at_an_end(penalty: str, values: np.ndarray, choice: int, *, given: str) -> str:
    """Message about a choice at either end of the strengths, '' for any other.

    Args:
        penalty: 'l1', 'l2' or 'elastic_net'.
        values: [N], strongest first. choice: an index.
        given: the field that named them, 'path.values' or 'path.C'; '' for the default ones.
    """
    if len(values) == 1 or 0 < choice < len(values) - 1 or values[choice] == 0:
        return ""
    strongest = choice == 0
    further = "stronger" if strongest else "weaker"
    if given == "path.C":
        further = "a smaller" if strongest else "a larger"
    remedy = f"the best may lie beyond: give {further} {given or 'path.values'}"
    end = "strongest" if strongest else "weakest"
    if not strongest and not given:
        remedy += ", or a smaller path.ratio"
    if strongest and penalty == "l1" and not given:
        remedy = "it leaves no coefficient, so the features tell nothing of the held-out rows"
    return f"{penalty}={values[choice]:.3g} is the {end} that was tried; {remedy}."


def largest_penalty(penalty: str, gradient: np.ndarray, factor: np.ndarray) -> float:
    """The strongest penalty of a path.

    For l1 it is the weakest penalty at which all coefficients are zero, max_j |g_j| / factor_j. l2 has no
    such penalty; its paths start at that of an elastic net with an l1 share of 0.001, like glmnet's
    (Friedman, Hastie and Tibshirani, J. Stat. Softw. 33, 2010, sec. 2.5).

    Args:
        penalty: 'l1' or 'l2'.
        gradient: [p, m], of the null model's loss by coefficients in the penalty's units.
        factor: [p], the penalty factors; unpenalised columns are ignored.
    """
    some = factor > 0
    steepest = np.abs(gradient[some]).max(axis=1) / factor[some]
    # Slightly larger, so that rounding does not make the first coefficient non-zero.
    return float(steepest.max(initial=0.0)) * (1 + 1e-6) * (1.0 if penalty == "l1" else 1000.0)


def choose(losses: np.ndarray, how: str) -> int:
    """The index of the chosen strength.

    Args:
        losses: [N, F], held out, the strongest penalty first; lower is better.
        how: 'best', the lowest mean over folds, or 'one_standard_error', the strongest penalty whose mean is
            within one standard error of the lowest (Hastie, Tibshirani and Friedman, 2009, sec. 7.10).
    """
    mean = losses.mean(axis=1)
    best = int(np.nanargmin(mean))
    if how == "best":
        return best
    error = losses[best].std(ddof=1) / math.sqrt(losses.shape[1])
    return int(np.flatnonzero(mean <= mean[best] + error)[0])
