"""Gradient descent with a line search: the method that the article teaches, and everyone's baseline."""

import numpy as np

from tf_logreg.solvers import core, line_search

TAKES_L1 = False  # exact zeros
USES_HESSIAN = False  # or products with it


def init(fns: core.Functions, w: core.Array) -> core.State:
    """The state at w [K, P]."""
    return core.start(fns, w, length=np.ones(len(w)))


def step(fns: core.Functions, state: core.State) -> core.State:
    """One step along the gradient; the first length tried is twice the last one."""
    state, at = core.copy(state), core.active(state)
    gradient = state.gradient[at]
    length, *found = line_search.search(
        fns.value_and_gradient,
        state.w[at],
        state.value[at],
        gradient,
        -gradient,
        at,
        noise=fns.noise,
        first=2 * state.memory["length"][at],
        curvature=False,
    )
    state.w[at], state.value[at], state.gradient[at] = found
    state.stalled[at] = length == 0
    state.memory["length"][at] = np.where(length > 0, length, state.memory["length"][at])
    state.gap[at] = fns.gradient_gap(state.gradient[at], at)
    return state
