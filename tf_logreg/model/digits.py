"""Numbers as text, with no digit that is not proven."""

from __future__ import annotations

import numpy as np


def shown(value: float, bound: float | None, most: int, *, sign: str = "") -> str:
    """A number with at most so many digits, each of which the true number has too when it is rounded to them.

    '~3' has no such digit, '0.00' is a number that rounds to zero.

    Args:
        value: the number.
        bound: on its distance from the true one; None or infinite where none is known, and all are shown.
        most: significant digits.
        sign: '+' to write one before positive numbers.
    """
    if bound is None or not np.isfinite(bound):
        return format(value, f"{sign}.{most}g")
    ends = value - bound, value + bound
    for digits in range(most, 0, -1):
        low, high = (format(end, f"{sign}.{digits}g") for end in ends)
        if low == high:
            return low
    for digits in range(most, 0, -1):
        if all(round(end, digits) == 0 for end in ends):
            return format(0.0, f".{digits}f")
    return "~" + format(value, f"{sign}.1g")
