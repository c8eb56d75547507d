"""The minimum of a quadratic model with l1, orthant by orthant (Andrew and Gao, ICML 2007).

Within an orthant the penalty is linear, a Newton system in the free coordinates gives the minimum, and what
would cross zero stays there. Arrays are [k, P] of k problems.
"""

from collections.abc import Callable

import numpy as np

from tf_logreg.solvers.core import Array

_MOST_SHORTENINGS = 60  # in all: along parallel columns, which damping alone holds, a step is far too long
_MOST_HALVINGS = 4  # of a step within the model, before it ends at the first zero
_EPS = np.finfo(float).eps


def pseudo_gradient(w: Array, gradient: Array, l1: Array) -> Array:
    """The subgradient of least norm: 0 exactly where w_j is optimal given the rest."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0)
    return np.where(w != 0, gradient + l1 * np.sign(w), at_zero)


def minimise_model(
    w: Array,
    gradient: Array,
    l1: Array,
    product: Callable[[Array, Array], Array],
    solve: Callable[[Array, Array], Array],
    rounds: int,
) -> Array:
    """Minimises g^T (u - w) + (u - w)^T H (u - w) / 2 + l1 |u| over u.

    Args:
        w, gradient, l1: [k, P].
        product: (v [j, P], which [j]) -> H v.
        solve: (r [k, P], free [k, P]) -> H^-1 r in the free coordinates.
        rounds: orthants looked at, at most.
    """
    u, model_gradient, problems = w.copy(), gradient.copy(), np.arange(len(w))
    # A slope is a difference of gradient and penalty, so no smaller than their rounding. A penalty that holds
    # its coefficient at zero may be far larger than all others, and rounds nothing.
    moves = (w != 0) | (np.abs(gradient) > l1)
    least = _EPS * np.where(moves, np.abs(gradient) + l1, 0).max(axis=1)
    fall, open_ = np.zeros(len(w)), np.ones(len(w), bool)
    for number in range(rounds):
        slope = pseudo_gradient(u, model_gradient, l1)
        size = np.abs(slope).max(axis=1)
        if number == 0:
            least = np.maximum(least, 1e-10 * size)
        open_ &= size > least
        if not open_.any():
            break
        orthant = np.where(u != 0, np.sign(u), -np.sign(slope))
        # A problem that is done stays where it is, and costs no system, while the others go on.
        free = (orthant != 0) & open_[:, None]
        for _ in range(3):
            d = -solve(np.where(free, slope, 0), free)
            wrong = free & (u == 0) & (d * orthant < 0)
            if not wrong.any():
                break
            free &= ~wrong
        t, crossing = np.ones((len(w), 1)), _first_crossing(u, d)
        for halving in range(_MOST_SHORTENINGS):
            move = u + t * d
            move = np.where(move * orthant > 0, move, 0) - u
            curved = product(move, problems)
            changed = change(u, move, model_gradient + curved / 2, l1)
            if (changed <= 0).all():
                break
            shorter = np.maximum(t / 2, crossing) if halving < _MOST_HALVINGS else np.minimum(t / 2, crossing)
            t = np.where((changed <= 0)[:, None], t, shorter)
        move[changed > 0], curved[changed > 0] = 0, 0
        u += move
        model_gradient += curved
        fall += np.minimum(changed, 0)
        open_ &= changed < 1e-12 * fall  # what is left is the rounding of the sums above
        # So is what halves a step on which nothing crosses zero: at full length it ends at a minimum.
        open_ &= ((t == 1) | (crossing < 1))[:, 0]
    return u


def change(w: Array, move: Array, gradient: Array, l1: Array) -> Array:
    """The model's linear part and the penalty along a move: gradient . move + l1 (|w + move| - |w|), [k].

    At the optimum the two cancel, so they are added before they are multiplied where a sign stays.
    """
    stays = np.sign(w + move) == np.sign(w)
    within = (gradient + l1 * np.sign(w)) * move
    across = gradient * move + l1 * (np.abs(w + move) - np.abs(w))
    return np.where(stays, within, across).sum(axis=1)


def _first_crossing(u: Array, d: Array) -> Array:
    """[k, 1]: the length at which u + t d has its first zero, slightly more, or 1 without one before.

    The model falls all the way there, also along directions without curvature, where d is as long as the
    damping lets it be.
    """
    towards = u * d < 0
    lengths = np.divide(-u, d, out=np.ones_like(u), where=towards)
    return np.minimum(lengths.min(axis=1, keepdims=True) * (1 + 4 * _EPS), 1)
