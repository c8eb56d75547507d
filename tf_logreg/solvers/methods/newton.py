"""Newton's method: by Cholesky where the Hessian is small, else by preconditioned conjugate gradients.

Truncated as in Dembo, Eisenstat and Steihaug (SIAM J. Numer. Anal. 19, 1982): the systems are solved
the more exactly the closer the optimum is, and no further than the wanted gap needs.
"""

import numpy as np

from tf_logreg.solvers import core, line_search, linear_system

TAKES_L1 = False  # exact zeros
USES_HESSIAN = True  # or products with it

_LOOSEST = 0.3  # of the first systems, relative
_MOST_PRODUCTS = 200


def init(fns: core.Functions, w: core.Array) -> core.State:
    """The state at w [K, P]. Memory: r^T M^-1 r at the start, by which progress is judged."""
    return core.start(fns, w, first=np.zeros(len(w)), **linear_system.no_preconditioner(w))


def step(fns: core.Functions, state: core.State) -> core.State:
    """One Newton step with a line search."""
    state, at = core.copy(state), core.active(state)
    w, gradient = state.w[at], state.gradient[at]
    if fns.hessian is not None:
        rough = linear_system.explicit_solver(fns.hessian(w, at))
        direction = -rough(gradient, np.arange(len(at)))
    else:
        free = np.ones(w.shape, bool)
        precondition, count = linear_system.preconditioner(fns, state, at)

        def product(v, which):
            count(which)
            return fns.hessian_product(w[which], v, at[which])

        def rough(r, which):
            return precondition(r, which, free[which])

        size = core.dot(gradient, rough(gradient, np.arange(len(at))))
        first = state.memory["first"]
        first[at] = np.where(first[at] > 0, first[at], size)
        direction, _ = linear_system.conjugate_gradient(
            product,
            rough,
            -gradient,
            free,
            tolerance=np.minimum(_LOOSEST, np.sqrt(np.sqrt(size / np.maximum(first[at], 1e-300)))),
            enough=lambda r, which: fns.gradient_gap(r, at[which]) <= 0.1 * fns.target[at[which]],
            most=_MOST_PRODUCTS,
        )
    length, *found = line_search.search(
        fns.value_and_gradient, w, state.value[at], gradient, direction, at, noise=fns.noise, curvature=False
    )
    state.w[at], state.value[at], state.gradient[at] = found
    after, before = found[2], state.gap[at]
    decrement = core.dot(after, rough(after, np.arange(len(at)))) / 2
    by_gradient = fns.gradient_gap(after, at)
    state.gap[at] = np.where(np.isfinite(by_gradient), by_gradient, decrement)
    # Where values no longer tell points apart, a step that does not halve the gap has met the rounding of
    # gradients too: with an l2 of 1e-9 forty more of them came no further.
    rounded = decrement <= fns.noise * np.maximum(1, np.abs(found[1]))
    state.stalled[at] = (length == 0) | (rounded & (state.gap[at] > before / 2))
    return state
