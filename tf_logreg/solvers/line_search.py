"""A step length for each of k problems, by the weak Wolfe conditions, all problems together.

Bisection and doubling (Lewis and Overton, Nonsmooth optimization via quasi-Newton methods, Math.
Program. 141, 2013, alg. 2.6). Near the optimum values differ by less than their rounding error, and
the decrease is judged by slopes instead (Hager and Zhang, SIAM J. Optim. 16, 2005, eq. 4.1).
"""

from collections.abc import Callable

import numpy as np

from tf_logreg.solvers.core import Array, dot

_DECREASE, _SLOPE = 1e-4, 0.9
_MOST_TRIALS = 60


def search(
    value_and_gradient: Callable[[Array, Array], tuple[Array, Array]],
    w: Array,
    value: Array,
    gradient: Array,
    direction: Array,
    problems: Array,
    *,
    noise: float,
    first: Array | float = 1.0,
    curvature: bool = True,
) -> tuple[Array, Array, Array, Array]:
    """Searches along w + t * direction.

    Args:
        value_and_gradient: (w [j, P], problems [j]) -> values [j], gradients [j, P].
        w, gradient, direction: [k, P]; direction descends.
        value: [k].
        problems: [k], passed on.
        noise: relative rounding error of a value.
        first: the step tried first, [k] or a number.
        curvature: also ask that the slope has risen to 0.9 of what it was, as quasi-Newton methods need.

    Returns:
        Step lengths [k], 0 where none was found, and the points, values and gradients there.
    """
    slope = dot(gradient, direction)
    low, high = np.zeros(len(w)), np.full(len(w), np.inf)
    t = np.broadcast_to(np.asarray(first, float), len(w)).copy()
    length, start = np.zeros(len(w)), t.copy()
    point, new_value, new_gradient = w.copy(), value.copy(), gradient.copy()
    open_ = slope < 0
    slack = noise * np.maximum(1, np.abs(value))
    for _ in range(_MOST_TRIALS):
        if not open_.any():
            break
        at = np.flatnonzero(open_)
        # A trial may be so far out that its value overflows: it is not finite, does not fall, and is halved.
        with np.errstate(over="ignore", invalid="ignore"):
            trial = w[at] + t[at, None] * direction[at]
            found, found_gradient = value_and_gradient(trial, problems[at])
            found_slope = dot(found_gradient, direction[at])
            falls = found <= value[at] + _DECREASE * t[at] * slope[at]
            near = (found <= value[at] + slack[at]) & (found_slope <= (2 * _DECREASE - 1) * slope[at])
        falls = (falls | near) & np.isfinite(found)
        flat = found_slope >= _SLOPE * slope[at] if curvature else np.ones(len(at), bool)
        high[at[~falls]] = t[at[~falls]]
        low[at[falls & ~flat]] = t[at[falls & ~flat]]
        done = falls & flat
        if len(at) == len(w) and done.all():
            return t, trial, found, found_gradient
        # A point that falls is kept, in case nothing better is found.
        keep = at[falls]
        length[keep], point[keep] = t[keep], trial[falls]
        new_value[keep], new_gradient[keep] = found[falls], found_gradient[falls]
        open_[at[done]] = False
        t = np.where(np.isinf(high), 2 * t, (low + high) / 2)
        # Below this a step changes nothing.
        open_ &= ~(high - low < 1e-15 * start)
    return length, point, new_value, new_gradient
