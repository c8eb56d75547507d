"""Newton's method: by the factor of a Hessian where it is small, else by preconditioned conjugate gradients.

A factor serves for several steps. Each step mends it by what its move told (`solvers/quasi_newton.py`),
and a new Hessian is made when that no longer pays: over 100,000 rows of 400 columns one of all rows takes as
long as eight passes.

Conjugate gradients are truncated as in Dembo, Eisenstat and Steihaug (SIAM J. Numer. Anal. 19, 1982): the
systems are solved the more exactly the closer the optimum is, and no further than the wanted gap needs.
"""

import numpy as np

from tf_logreg.solvers import core, line_search, linear_system, quasi_newton

TAKES_L1 = False  # exact zeros
USES_HESSIAN = True  # or products with it

_LOOSEST = 0.3  # of the first systems, relative
_MOST_PRODUCTS = 200
_LEFT = 0.01  # of the gap, by a step with a good Hessian


def init(fns: core.Functions, w: core.Array) -> core.State:
    """The state at w [K, P]; its memory is that of `_memory`."""
    return core.start(fns, w, **_memory(fns, w))


def _memory(fns: core.Functions, w: core.Array) -> dict[str, core.Array]:
    """What a state remembers at the start.

    That of `linear_system.no_preconditioner`, and r^T M^-1 r at the start, by which progress is judged; or,
    with a Hessian, that of `quasi_newton.no_history`, and the share of the gap that a new one may leave.
    """
    more = {"first": np.zeros(len(w))}
    if fns.hessian is not None and fns.hessian_passes:
        more = {"left": np.full(len(w), _LEFT)} | quasi_newton.no_history(w)
    return more | linear_system.no_preconditioner(w)


def step(fns: core.Functions, state: core.State) -> core.State:
    """One Newton step with a line search."""
    state, at = core.copy(state), core.active(state)
    if fns.hessian is not None and "left" not in state.memory:  # from a checkpoint of a version up to 0.8
        state.memory = _memory(fns, state.w) | state.memory
    if fns.hessian is None:
        return _by_products(fns, state, at)
    return _by_factor(fns, state, at) if fns.hessian_passes else _by_new_factor(fns, state, at)


def _by_new_factor(fns: core.Functions, state: core.State, at: core.Array) -> core.State:
    """With the Hessian where the step begins."""
    solve, which = linear_system.explicit_solver(fns.hessian(state.w[at], at)), np.arange(len(at))
    length = _moved(fns, state, at, -solve(state.gradient[at], which))
    gradient = state.gradient[at]
    state.stalled[at] = _judged(fns, state, at, length, core.dot(gradient, solve(gradient, which)) / 2)
    return state


def _by_factor(fns: core.Functions, state: core.State, at: core.Array) -> core.State:
    """With the Hessian of an earlier step, or a new one."""
    memory, free = state.memory, np.ones((len(at), state.w.shape[1]), bool)
    new = memory["products"][at] > fns.many_products[at]
    quasi_newton.forget(memory, at[new])
    solve, _ = linear_system.preconditioner(fns, state, at)

    def rough(r: core.Array) -> core.Array:
        moves, changes = memory["moves"][at], memory["changes"][at]
        return quasi_newton.inverse_hessian_times(
            r, moves, changes, lambda q: solve(q, np.arange(len(q)), free)
        )

    w, gradient = state.w[at], state.gradient[at]
    direction = -rough(gradient)
    first = -core.dot(gradient, direction) / 2
    length = _moved(fns, state, at, direction)
    quasi_newton.remember(memory, at, state.w[at] - w, state.gradient[at] - gradient)
    decrement = core.dot(state.gradient[at], rough(state.gradient[at])) / 2
    stalled = _judged(fns, state, at, length, decrement)
    # Nothing more is to be had only where the Hessian is not to blame.
    state.stalled[at] = stalled & new
    left = decrement / np.maximum(first, 1e-300)
    # A new Hessian brings twice the digits of the one before, or what a good one does.
    memory["left"][at] = np.where(new, np.clip(np.square(left), _LEFT, 1), memory["left"][at])
    slow = left > memory["left"][at] ** (1 / (1 + fns.hessian_passes))
    memory["products"][at] = np.where(slow | stalled, np.inf, 0)  # infinite: a new one is made next
    return state


def _by_products(fns: core.Functions, state: core.State, at: core.Array) -> core.State:
    """By conjugate gradients."""
    w, gradient = state.w[at], state.gradient[at]
    free = np.ones(w.shape, bool)
    precondition, count = linear_system.preconditioner(fns, state, at)

    def product(v: core.Array, which: core.Array) -> core.Array:
        count(which)
        return fns.hessian_product(w[which], v, at[which])

    def rough(r: core.Array, which: core.Array) -> core.Array:
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
    length = _moved(fns, state, at, direction)
    decrement = core.dot(state.gradient[at], rough(state.gradient[at], np.arange(len(at)))) / 2
    state.stalled[at] = _judged(fns, state, at, length, decrement)
    return state


def _moved(fns: core.Functions, state: core.State, at: core.Array, direction: core.Array) -> core.Array:
    """Moves w of the problems `at` [k] along directions [k, P]; the lengths [k] of their steps."""
    length, *found = line_search.search(
        fns.value_and_gradient,
        state.w[at],
        state.value[at],
        state.gradient[at],
        direction,
        at,
        noise=fns.noise,
        curvature=False,
    )
    state.w[at], state.value[at], state.gradient[at] = found
    return length


def _judged(
    fns: core.Functions, state: core.State, at: core.Array, length: core.Array, decrement: core.Array
) -> core.Array:
    """Estimates the gaps of the problems `at` by their decrements [k]; whether each has stalled, [k]."""
    by_gradient, before = fns.gradient_gap(state.gradient[at], at), state.gap[at]
    state.gap[at] = np.where(np.isfinite(by_gradient), by_gradient, decrement)
    # Where values no longer tell points apart, a step that does not halve the gap has met the rounding of
    # gradients too: with an l2 of 1e-9 forty more of them came no further.
    rounded = decrement <= fns.noise * np.maximum(1, np.abs(state.value[at]))
    return (length == 0) | (rounded & (state.gap[at] > before / 2))
