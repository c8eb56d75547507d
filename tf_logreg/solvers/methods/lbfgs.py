"""L-BFGS (Liu and Nocedal, Math. Program. 45, 1989), for K problems with their own histories."""

import numpy as np

from tf_logreg.solvers import core, line_search, quasi_newton

TAKES_L1 = False  # exact zeros
USES_HESSIAN = False  # or products with it


def init(fns: core.Functions, w: core.Array) -> core.State:
    """The state at w [K, P]. Memory: `quasi_newton.no_history`."""
    return core.start(fns, w, **quasi_newton.no_history(w))


def step(fns: core.Functions, state: core.State) -> core.State:
    """One quasi-Newton step with a Wolfe line search."""
    state, at = core.copy(state), core.active(state)
    w, gradient, memory = state.w[at], state.gradient[at], state.memory
    direction = -_inverse_hessian_times(gradient, memory["moves"][at], memory["changes"][at])
    # Without a history the scale of the gradient says nothing about the length of a step.
    norm = np.sqrt(core.dot(gradient, gradient))
    first = np.where(memory["moves"][at, -1].any(axis=1), 1.0, 1 / np.maximum(norm, 1e-300))
    length, point, value, new_gradient = line_search.search(
        fns.value_and_gradient, w, state.value[at], gradient, direction, at, noise=fns.noise, first=first
    )
    quasi_newton.remember(memory, at, point - w, new_gradient - gradient)
    state.w[at], state.value[at], state.gradient[at] = point, value, new_gradient
    state.stalled[at] = length == 0
    # Without a step forget the history; the next step starts from the gradient.
    quasi_newton.forget(memory, at[length == 0])
    after = _inverse_hessian_times(new_gradient, memory["moves"][at], memory["changes"][at])
    state.gap[at] = np.minimum(core.dot(new_gradient, after) / 2, fns.gradient_gap(new_gradient, at))
    return state


def _inverse_hessian_times(gradient: core.Array, moves: core.Array, changes: core.Array) -> core.Array:
    """`quasi_newton.inverse_hessian_times` from the curvature along the latest move."""
    products, squares = (core.dot(a[:, -1], changes[:, -1]) for a in (moves, changes))
    scale = np.divide(products, squares, out=np.ones_like(squares), where=squares > 0)
    return quasi_newton.inverse_hessian_times(gradient, moves, changes, lambda q: scale[:, None] * q)
