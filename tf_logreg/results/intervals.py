"""95% intervals of metrics, for rows that were drawn at random: what other rows of the kind would give."""

import numpy as np

_Z = 1.959963984540054  # the quantile of 0.975 of the normal distribution
NAMES = ("log_loss_interval", "accuracy_interval", "roc_auc_interval", "intervals_missing")


def of_mean(mean: float, mean_square: float, count: float) -> list[float] | None:
    """The normal interval of a mean of `count` values; None of fewer than two, or where it is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        variance = max(mean_square - mean * mean, 0.0) / (count - 1) if count > 1 else np.nan
    half = _Z * np.sqrt(variance)
    return [float(mean - half), float(mean + half)] if np.isfinite(half) else None


def of_share(share: float, count: float) -> list[float] | None:
    """Wilson's interval of a share of `count` rows; None without any."""
    if not count or not np.isfinite(share):
        return None
    z = _Z * _Z / count
    centre, half = share + z / 2, np.sqrt(z * (share * (1 - share) + z / 4))
    return [max(0.0, float((centre - half) / (1 + z))), min(1.0, float((centre + half) / (1 + z)))]


def of_paired_shares(gained: int, lost: int, count: int) -> list[float] | None:
    """The interval of the difference of two shares of the same `count` rows (Agresti and Min, 2005).

    Args:
        gained, lost: rows that only the first share counts, and only the second.
        count: of all rows.
    """
    if not count:
        return None
    # Half a row is added to each of the four kinds: the interval is no point where all agree.
    count += 2
    difference = (gained - lost) / count
    half = _Z * np.sqrt(((gained + lost + 1) / count - difference * difference) / count)
    return [float(difference - half), float(difference + half)]


def of_difference(difference: float, deviation: float | None) -> list[float] | None:
    """The normal interval of a difference by its standard error; None without one."""
    return None if deviation is None else [difference - _Z * deviation, difference + _Z * deviation]


def of_area(area: float, deviation: float | None) -> list[float] | None:
    """The normal interval of an area by its standard error; None without one, or without any confusion."""
    if not deviation:
        return None
    return [max(0.0, area - _Z * deviation), min(1.0, area + _Z * deviation)]
