"""Which coefficients a method with l1 works on, and how far those left out keep it from the optimum.

The set is every coefficient that is not zero or has no l1, and of the others those whose gradient exceeds
their l1 the most (Johnson and Guestrin, Blitz, ICML 2015; Massias, Gramfort and Salmon, Celer, ICML 2018).
It at most doubles from step to step, so that early steps, which see the wrong gradients, are cheap. A large
one whose Hessian is factored grows by a quarter, so that it can be.
"""

import numpy as np

from tf_logreg.solvers.core import Array

_FEWEST, _SHARE, _MOST_AT_FIRST = 100, 0.01, 400  # coefficients in a set, if so many have a reason to move
_GROWTH = 2
_LARGE, _GROWTH_OF_LARGE = 2000, 1.25


def working_set(w: Array, gradient: Array, l1: Array, *, by_products: bool = False) -> Array:
    """Indices of the set of one problem, ascending; arrays are [P].

    Args:
        by_products: whether its Hessian is not factored but multiplied by.
    """
    inside = (w != 0) | (l1 == 0)
    above = np.where(inside, 0, np.abs(gradient) - l1)
    count = int(inside.sum())
    most = _GROWTH * count
    if not by_products:
        most = min(most, max(_LARGE, int(_GROWTH_OF_LARGE * count)))
    size = max(_FEWEST, min(int(_SHARE * len(w)), _MOST_AT_FIRST), most) - count
    outside = np.flatnonzero(above > 0)
    if len(outside) > size:
        outside = outside[np.argpartition(-above[outside], size)[:size]]
    return np.sort(np.concatenate([np.flatnonzero(inside), outside]))


def gap_outside(w: Array, value: Array, gradient: Array, l1: Array) -> Array:
    """Roughly by how much the coefficients at zero keep the smooth value + l1 |w| from its minimum, [k].

    Where a gradient exceeds its l1, the dual point is scaled by s < 1 into the box. To first order in 1 - s
    that costs (1 - s) l1 |w|, and no more than the value. Arguments are [k, P], the value [k].
    """
    less = 1 - 1 / excess(w, gradient, l1)
    return less * (l1 * np.abs(w)).sum(axis=1) + np.square(less) * value


def excess(w: Array, gradient: Array, l1: Array) -> Array:
    """The largest gradient of a coefficient at zero over its l1, at least 1, [...] of [..., P]."""
    at_zero = (w == 0) & (l1 > 0)
    return (np.abs(gradient) / np.where(at_zero, l1, np.inf)).max(axis=-1, initial=1)
