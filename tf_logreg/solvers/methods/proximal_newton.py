"""Proximal Newton for F = smooth + sum_j l1_j |w_j|, with exact zeros.

Each step minimises the quadratic model of the smooth part plus the penalty (Lee, Sun and Saunders,
SIAM J. Optim. 24, 2014, alg. 1) and searches along the line to its minimiser (`solvers/orthants.py`).
"""

from collections.abc import Callable

import numpy as np

from tf_logreg.solvers import core, interior_point, linear_system, orthants, working_set

TAKES_L1 = True  # exact zeros
USES_HESSIAN = True  # or products with it

_DECREASE = 1e-4
_DAMPING = 1e-7  # of each diagonal entry
_MOST_PRODUCTS = 100
_SHARE_INSIDE = 0.3  # of the gap left outside a working set, down to which the set is worked on
_SHARE_OF_TARGET = 0.01  # or down to so much of the gap that is wanted
_MOST_INSIDE = 20  # steps there
_LEFT_BY_PRODUCTS = 0.1  # of what a step there gained; beyond, columns are too correlated for products
_MANY_PRODUCTS = 50  # of such a step
_FAR = 5  # a gradient over its l1, from which a set that rows do not determine has too many orthants
# Of all coefficients, not of a set: systems are solved the more exactly the closer the optimum is, and by
# factors once products with a Hessian have brought little.
_KEPT = ("first", "factored")


def init(fns: core.Functions, w: core.Array) -> core.State:
    """The state at w [K, P]."""
    none = np.zeros(len(w))
    return core.start(fns, w, first=none, factored=none.copy(), **linear_system.no_preconditioner(w))


def step(fns: core.Functions, state: core.State) -> core.State:
    """One step of each problem.

    Where columns are at hand it goes to near the optimum of a working set of coefficients; else it is one
    proximal Newton step over all of them.
    """
    state, at = core.copy(state), core.active(state)
    if fns.restricted is not None:
        at = _step_in_sets(fns, state, at)
    if at.size:
        _newton_step(fns, state, at)
    return state


def _step_in_sets(fns: core.Functions, state: core.State, at: core.Array) -> core.Array:
    """Moves the problems `at` of a state to near the optima of their working sets.

    Returns:
        Those of them whose sets are too large; none when there is no time left.
    """
    moved, ended, left, late = [], [], np.zeros(len(state.w)), False
    factored = state.memory.setdefault("factored", np.zeros(len(state.w)))  # not of versions up to 0.11
    outside = working_set.gap_outside(state.w, state.value, state.gradient, fns.l1)
    for k in at:
        if late := late or fns.late():
            break
        w = state.w[k]
        by_products = fns.restricted_by_products and not factored[k]
        coordinates = working_set.working_set(w, state.gradient[k], fns.l1[k], by_products=by_products)
        if not coordinates.size:  # all are zero, and stay there
            state.gap[k], state.stalled[k] = 0, True
            ended.append(k)
            continue
        few = fns.restricted(coordinates, k)
        if few is None and by_products:
            factored[k] = 1  # these columns have no products, and so many are not factored
            coordinates = working_set.working_set(w, state.gradient[k], fns.l1[k])
            few = fns.restricted(coordinates, k)
        if few is None:
            continue
        tolerance = max(_SHARE_INSIDE * outside[k], _SHARE_OF_TARGET * fns.target[k])
        far = working_set.excess(w, state.gradient[k], fns.l1[k]) > _FAR
        kept = {name: state.memory[name][k : k + 1] for name in _KEPT}
        inner, late = _inside(few, w[coordinates], kept, tolerance, fns.late, far=far)
        state.stalled[k] = (inner.w[0] == w[coordinates]).all()
        w[:] = 0
        w[coordinates], left[k] = inner.w[0], inner.gap[0]
        moved.append(k)
    if late:
        return at[:0]
    moved = np.array(moved, int)
    if moved.size:
        state.value[moved], state.gradient[moved] = fns.value_and_gradient(state.w[moved], moved)
        outside = working_set.gap_outside(state.w, state.value, state.gradient, fns.l1)
        state.gap[moved] = left[moved] + outside[moved]
    return np.setdiff1d(at, [*moved, *ended])


def _inside(
    few: core.Functions,
    w: core.Array,
    kept: dict[str, core.Array],
    tolerance: float,
    late: Callable[[], bool],
    *,
    far: bool,
) -> tuple[core.State, bool]:
    """Takes one problem from w [P] to a gap of the tolerance, if it can, and says whether the time is over.

    Where the rows do not determine the coefficients, an interior point leads: at once if `far`, else where
    steps by orthants come no further, as among many columns that are alike.

    Args:
        kept: what the state remembers of all coefficients, [1] by `_KEPT`; it is kept up.
    """
    dependent = w.size > few.rank
    for leads in ([True] if far else [False, True]) if dependent else [False]:
        w, gap = interior_point.minimum(few, w, tolerance, late) if leads else (w, np.inf)
        inner, over = init(few, w[None]), leads and late()
        inner.gap[0] = gap
        inner.memory |= {name: value.copy() for name, value in kept.items()}
        # A step at least: an interior point's gap is that before its small numbers were set to zero.
        for _ in range(0 if over else _MOST_INSIDE):
            factored = inner.memory["factored"][0]
            inner = step(few, inner)
            if inner.memory["factored"][0] > factored and few.hessian is not None:
                inner.stalled[0] = False  # products came no further, factors may
                continue
            if inner.stalled[0] or inner.gap[0] <= tolerance or (over := late()):
                break
        w = inner.w[0]
        for name, value in kept.items():
            value[:] = inner.memory[name]
        if over or inner.gap[0] <= tolerance:
            break
    return inner, over


def _newton_step(fns: core.Functions, state: core.State, at: core.Array) -> None:
    """Moves the problems `at` of a state by one proximal Newton step with a line search."""
    w, gradient, l1 = state.w[at], state.gradient[at], fns.l1[at]
    slope = orthants.pseudo_gradient(w, gradient, l1)
    by_products = fns.products_first and not state.memory["factored"][at].all()
    explicit = not by_products and (fns.hessian is not None or fns.hessian_root is not None)
    if explicit:
        product, solve = _explicit_model(fns, w, at)
        rounds = 50
    else:
        precondition, count = linear_system.preconditioner(fns, state, at)
        size = np.square(slope).sum(axis=1)
        first = state.memory["first"]
        first[at] = np.where(first[at] > 0, first[at], size)
        tolerance = np.minimum(0.3, np.sqrt(np.sqrt(size / np.maximum(first[at], 1e-300))))

        def product(v, which):
            count(which)
            return fns.hessian_product(w[which], v, at[which])

        def solve(r, free):
            return linear_system.conjugate_gradient(
                product,
                lambda r, which: precondition(r, which, free[which]),
                r,
                free,
                tolerance=tolerance,
                enough=lambda r, which: np.zeros(len(r), bool),
                most=_MOST_PRODUCTS,
            )[0]

        rounds = 2
    target = orthants.minimise_model(w, gradient, l1, product, solve, rounds)
    length, *found = _search(fns, w, state.value[at], gradient, l1, target - w, at)
    before = state.value[at] + (l1 * np.abs(w)).sum(axis=1)
    state.w[at], state.value[at], state.gradient[at] = found
    state.stalled[at] = length == 0
    after = found[1] + (l1 * np.abs(found[0])).sum(axis=1)
    # What the model still promises at the new point, one solve further.
    slope = orthants.pseudo_gradient(found[0], found[2], l1)
    free = (found[0] != 0) | (slope != 0)
    if explicit:
        promise = core.dot(slope, solve(np.where(free, slope, 0), free)) / 2
    else:
        promise = core.dot(slope, precondition(np.where(free, slope, 0), np.arange(len(at)), free)) / 2
    state.gap[at] = np.where(length < 1, np.maximum(promise, before - after), promise)
    if by_products:
        many = state.memory["products"][at] > _MANY_PRODUCTS
        slow = state.gap[at] > np.maximum(_LEFT_BY_PRODUCTS * (before - after), fns.noise * np.abs(before))
        state.memory["factored"][at] = many | slow


def _explicit_model(
    fns: core.Functions, w: core.Array, at: core.Array
) -> tuple[Callable[[core.Array, core.Array], core.Array], Callable[[core.Array, core.Array], core.Array]]:
    """The functions `product` and `solve` of `minimise_model` with the Hessians at w [k, P] at hand.

    Dependent columns leave directions without curvature, along which the penalty alone decides: a little
    damping keeps the step to where it does.
    """
    if fns.hessian is None:
        root, diagonal = fns.hessian_root(w, at)

        def by_root(v, which):
            both = zip(which, v, strict=True)
            return np.stack([np.dot(root[k], np.dot(one, root[k])) + diagonal[k] * one for k, one in both])

        curvature = np.einsum("kpr,kpr->kp", root, root) + diagonal
        return by_root, linear_system.free_solver_of_root(root, diagonal + _DAMPING * curvature)
    hessian = fns.hessian(w, at)
    damped = hessian.copy()
    damped_diagonal = np.einsum("kii->ki", damped)
    damped_diagonal *= 1 + _DAMPING

    def product(v, which):
        return np.stack([np.dot(hessian[k], one) for k, one in zip(which, v, strict=True)])

    return product, linear_system.free_solver(damped)


def _search(fns, w, value, gradient, l1, direction, problems):
    """Halves the step until F = value + l1 |w| falls as far as the model's slope promises."""
    penalty = (l1 * np.abs(w)).sum(axis=1)
    promise = orthants.change(w, direction, gradient, l1)
    slack = fns.noise * np.maximum(1, np.abs(value + penalty))
    t, length = np.ones(len(w)), np.zeros(len(w))
    point, new_value, new_gradient = w.copy(), value.copy(), gradient.copy()
    open_ = promise < 0
    for _ in range(30):
        at = np.flatnonzero(open_)
        if not at.size:
            break
        # At t = 1 the sum must be the model's minimiser itself, zeros included.
        # A trial may be so far out that its value overflows: it is not finite, does not fall, and is halved.
        with np.errstate(over="ignore", invalid="ignore"):
            trial = np.where(t[at, None] == 1, (w + direction)[at], w[at] + t[at, None] * direction[at])
            found, found_gradient = fns.value_and_gradient(trial, problems[at])
            change = found + (l1[at] * np.abs(trial)).sum(axis=1) - (value + penalty)[at]
            # Below the rounding of a value the model is trusted.
            falls = (change <= _DECREASE * t[at] * promise[at]) | (
                (np.abs(promise[at]) < slack[at]) & (change <= slack[at])
            )
        good = at[falls]
        length[good], point[good] = t[good], trial[falls]
        new_value[good], new_gradient[good] = found[falls], found_gradient[falls]
        open_[good] = False
        t[open_] /= 2
    return length, point, new_value, new_gradient
