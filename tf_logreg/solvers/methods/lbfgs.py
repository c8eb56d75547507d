"""L-BFGS (Liu and Nocedal, Math. Program. 45, 1989), for K problems with their own histories."""

import numpy as np

from tf_logreg.solvers import core, line_search

TAKES_L1 = False  # exact zeros
USES_HESSIAN = False  # or products with it

_HISTORY = 10


def init(fns: core.Functions, w: core.Array) -> core.State:
    """The state at w [K, P]. Memory: changes of w and of the gradient [K, 10, P], the newest last."""
    empty = np.zeros((len(w), _HISTORY, w.shape[1]))
    return core.start(fns, w, moves=empty, changes=empty.copy())


def step(fns: core.Functions, state: core.State) -> core.State:
    """One quasi-Newton step with a Wolfe line search."""
    state, at = core.copy(state), core.active(state)
    w, gradient = state.w[at], state.gradient[at]
    moves, changes = state.memory["moves"][at], state.memory["changes"][at]
    direction = -_inverse_hessian_times(gradient, moves, changes)
    # Without a history the scale of the gradient says nothing about the length of a step.
    norm = np.sqrt(core.dot(gradient, gradient))
    first = np.where(moves[:, -1].any(axis=1), 1.0, 1 / np.maximum(norm, 1e-300))
    length, point, value, new_gradient = line_search.search(
        fns.value_and_gradient, w, state.value[at], gradient, direction, at, noise=fns.noise, first=first
    )
    move, change = point - w, new_gradient - gradient
    # s^T y > 0 keeps the approximation positive definite; rounding can break it near the optimum.
    good = core.dot(move, change) > 1e-14 * core.dot(change, change)
    for name, history, latest in (("moves", moves, move), ("changes", changes, change)):
        rolled = np.concatenate([history[:, 1:], latest[:, None]], axis=1)
        state.memory[name][at] = np.where(good[:, None, None], rolled, history)
    state.w[at], state.value[at], state.gradient[at] = point, value, new_gradient
    state.stalled[at] = length == 0
    # Without a step forget the history; the next step starts from the gradient.
    for name in ("moves", "changes"):
        state.memory[name][at[length == 0]] = 0
    after = _inverse_hessian_times(new_gradient, state.memory["moves"][at], state.memory["changes"][at])
    state.gap[at] = np.minimum(core.dot(new_gradient, after) / 2, fns.gradient_gap(new_gradient, at))
    return state


def _inverse_hessian_times(gradient: core.Array, moves: core.Array, changes: core.Array) -> core.Array:
    """The two loops of Nocedal (1980); slots of the history that are still empty do nothing.

    s = moves[:, i], y = changes[:, i], rho = 1 / s^T y as in the paper.
    """
    q = gradient.copy()
    products = np.einsum("kip,kip->ki", moves, changes)
    rho = np.divide(1, products, out=np.zeros_like(products), where=products > 0)
    alpha = np.zeros_like(rho)
    for i in reversed(range(_HISTORY)):
        alpha[:, i] = rho[:, i] * core.dot(moves[:, i], q)
        q -= alpha[:, i, None] * changes[:, i]
    squares = core.dot(changes[:, -1], changes[:, -1])
    scale = np.divide(products[:, -1], squares, out=np.ones_like(squares), where=squares > 0)
    r = scale[:, None] * q
    for i in range(_HISTORY):
        beta = rho[:, i] * core.dot(changes[:, i], r)
        r += (alpha[:, i] - beta)[:, None] * moves[:, i]
    return r
