"""A primal-dual interior point for smooth + l1 |w| with more coefficients than the rows determine.

Where l1 is weak, most of them have a reason to move, and Newton's method by orthants goes through hundreds.
An interior point takes some twenty systems whatever the penalty, of no more than the number of rows for a
single output (Koh, Kim and Boyd, JMLR 8, 2007, for the problem; Mehrotra, SIAM J. Optim. 2, 1992, for the
steps).

w = a - b with a, b > 0, and g the gradient of the smooth part. At the optimum the slopes s = l1 + g and
t = l1 - g are >= 0 and the products a s and b t are 0. Steps keep s and t > 0 and meet their equations in the
end. The start meets them for an l1 that holds every coefficient at zero, so this l1 falls to the given one as
the products fall to 0.
"""

from collections.abc import Callable

import numpy as np

from tf_logreg.solvers import linear_system
from tf_logreg.solvers.core import Array, Functions

_MOST_STEPS = 60
_SHORTEST = 1e-3  # a step, after which there are no more
_ABOVE_LARGEST = 1.1  # the first l1, over the least that holds all coefficients at zero
_TO_BOUNDARY = 0.995  # of the length at which a number reaches zero
_LEAST_CENTRE = 0.03  # of the gap that unmet equations leave: smaller products would shorten the steps
_SHARE_OF_VALUE = 0.01  # of the objective: a gap that leaves only those at zero that stay there
_DAMPING = 1e-6  # of the Hessian's diagonal, for coefficients without l1


def minimum(fns: Functions, w: Array, tolerance: float, late: Callable[[], bool]) -> tuple[Array, float]:
    """Coefficients [P] near the minimum of one problem, with exact zeros, and their estimated gap in nats.

    Args:
        fns: of one problem, with a Hessian or its root, and some l1.
        w: [P], returned with an infinite gap where no better point is found.
        tolerance: of the gap, nats. late: ends the steps when True.
    """
    l1 = fns.l1[0]
    box, point = l1 > 0, np.zeros_like(w)
    least_l1 = l1[box]
    value, gradient = _value_and_gradient(fns, point)
    first = least_l1 * _ABOVE_LARGEST * max(1.0, np.abs(gradient[box] / least_l1).max())
    s, t = first + gradient[box], first - gradient[box]
    count = 2 * len(s)
    a, b = value / count / s, value / count / t
    best, gap = point, np.inf
    with np.errstate(all="ignore"):  # what is not finite ends the steps
        for _ in range(_MOST_STEPS):
            point[box] = a - b
            value, gradient = _value_and_gradient(fns, point)
            unmet = least_l1 + gradient[box] - s, least_l1 - gradient[box] - t
            products, size = a @ s + b @ t, np.abs(point[box])
            far = np.max(np.abs(unmet) / least_l1) * (least_l1 @ size)
            if not products + far + value < np.inf:
                break
            if products + far < gap:
                gap, best = products + far, point.copy()
                best[box] = np.where(_stays_at_zero(size, least_l1, products / count), 0, point[box])
            enough = min(tolerance, _SHARE_OF_VALUE * (value + least_l1 @ size))
            if gap <= enough or late():
                break
            d, moves = _step(fns, point, gradient, box, (a, b, s, t), unmet, far)
            length = min(1.0, _TO_BOUNDARY * _to_boundary((a, b, s, t), moves))
            if not length > _SHORTEST:
                break
            point[~box] += length * d[~box]
            for number, move in zip((a, b, s, t), moves, strict=True):
                number += length * move
    before, after = (_value_and_gradient(fns, one)[0] + l1 @ np.abs(one) for one in (w, best))
    return (best, gap) if after < before else (w, np.inf)


def _stays_at_zero(size: Array, l1: Array, product: float) -> Array:
    """Which coefficients of sizes |w| [p] on their way are at zero in the end, by the mean product.

    |w| times the distance of the slope from l1 is about the product. The one that is small relative to
    others' tends to zero.
    """
    typical = np.square(size).sum() / max(size.sum(), 1e-300)
    return np.square(size) * l1 < product * typical


def _step(
    fns: Functions,
    point: Array,
    gradient: Array,
    box: Array,
    numbers: tuple[Array, ...],
    unmet: tuple[Array, Array],
    far: float,
) -> tuple[Array, list[Array]]:
    """A step of Mehrotra's.

    Args:
        point, gradient: [P]. box: [P], where l1 is.
        numbers: a, b, s and t. unmet: l1 + g - s and l1 - g - t.
        far: the gap that unmet equations leave.

    Returns:
        The moves of the point, [P], and of a, b, s and t.
    """
    (a, b, s, t), (above, below) = numbers, unmet
    e = a / s + b / t
    times_hessian, solve = _system(fns, point, box, e)

    def moves(of_a: Array, of_b: Array) -> list[Array]:
        """Those of w, a, b, s and t that change a s and b t by `of_a` and `of_b`, to first order."""
        r = -gradient
        r[box] = (of_a / s - of_b / t - a / s * above + b / t * below) / e
        d = solve(r)
        slope = times_hessian(d)[box]
        of_s, of_t = above + slope, below - slope
        return [d, (of_a - a * of_s) / s, (of_b - b * of_t) / t, of_s, of_t]

    count, product = 2 * len(s), (a @ s + b @ t) / (2 * len(s))
    _, *plain = moves(-a * s, -b * t)
    length = _to_boundary(numbers, plain)
    ahead = [number + length * move for number, move in zip(numbers, plain, strict=True)]
    left = (ahead[0] @ ahead[2] + ahead[1] @ ahead[3]) / count
    centre = max(product * (left / product) ** 3, min(_LEAST_CENTRE * far / count, 2 * product))
    d, *found = moves(centre - a * s - plain[0] * plain[2], centre - b * t - plain[1] * plain[3])
    return d, found


def _system(fns: Functions, point: Array, box: Array, e: Array) -> tuple[Callable, Callable]:
    """Functions [P] -> [P] that multiply by the Hessian at a point, and that solve with it and 1 / e added.

    Coefficients without l1 have no e, and are damped.
    """

    def added(curvature: Array) -> Array:
        diagonal = _DAMPING * curvature
        diagonal[box] = 1 / e
        return diagonal

    if fns.hessian_root is not None:
        (root,), (l2,) = fns.hessian_root(point[None], None)
        diagonal = l2 + added(np.einsum("pr,pr->p", root, root) + l2)
        solve = linear_system.by_woodbury(root, diagonal)
        return lambda d: np.dot(root, np.dot(d, root)) + l2 * d, solve
    (hessian,) = fns.hessian(point[None], None)
    matrix = hessian.copy()
    matrix[np.diag_indices(len(matrix))] += added(np.diag(hessian))
    return lambda d: np.dot(hessian, d), linear_system.factored(matrix)


def _to_boundary(numbers: tuple[Array, ...], moves: list[Array]) -> float:
    """The length, at most 1, at which the first number is zero."""
    return 1 / max(1.0, *((-move / number).max() for number, move in zip(numbers, moves, strict=True)))


def _value_and_gradient(fns: Functions, w: Array) -> tuple[float, Array]:
    (value,), (gradient,) = fns.value_and_gradient(w[None], None)
    return float(value), gradient
