"""Newton systems H d = r for K problems: by Cholesky where H is at hand, else by conjugate gradients."""

import functools
from collections.abc import Callable

import numpy as np
from scipy.linalg import lapack

from tf_logreg.solvers.core import Array, Functions, State, dot


def cholesky(matrix: Array) -> tuple[Array, bool]:
    """The factor that `scipy.linalg.cho_solve` takes, of [P, P] float64 symmetric and at least semidefinite.

    A ridge, relative to each diagonal entry, grows from rounding size until the factor exists: a
    rank-deficient system has a finite answer, a regular one is left as it is.
    """
    # LAPACK's own functions: scipy's checks take ten times as long as a small system. Of a symmetric matrix
    # the transpose is in the order that LAPACK takes without turning it.
    factor, failed = lapack.dpotrf(matrix.T, lower=1)
    if not failed:
        return factor, True
    diagonal = np.diag(matrix)
    diagonal = np.maximum(diagonal, max(diagonal.max(initial=0.0), 1e-300) * 1e-15)
    for ridge in 10.0 ** np.arange(-14, 1):
        factor, failed = lapack.dpotrf((matrix + np.diag(ridge * diagonal)).T, lower=1)
        if not failed:
            return factor, True
    return np.diag(np.sqrt(2 * diagonal)), True


def factored(matrix: Array) -> Callable[[Array], Array]:
    """A function b [P] -> [P] that solves with a symmetric matrix [P, P], semidefinite at least."""
    factor = cholesky(matrix)[0]
    return lambda b: lapack.dpotrs(factor, b, lower=1)[0]


def explicit_solver(hessian: Array) -> Callable[[Array, Array], Array]:
    """A function (r [j, P], which [j]) -> [j, P] that solves H_k d = r; each H_k is factored once.

    Args:
        hessian: [k, P, P].
    """
    factor = functools.cache(lambda k: cholesky(hessian[k])[0])

    def solve(r: Array, which: Array) -> Array:
        solved = [lapack.dpotrs(factor(int(k)), one, lower=1)[0] for k, one in zip(which, r, strict=True)]
        return np.stack(solved)

    return solve


def free_solver(hessian: Array) -> Callable[[Array, Array], Array]:
    """A function (r [k, P], free [k, P] bool) -> [k, P] that solves H_k d_k = r_k in the free coordinates.

    It is 0 elsewhere. The factor of each system's last free coordinates is kept.

    Args:
        hessian: [k, P, P].
    """

    def of(k: int, at: Array) -> Callable[[Array], Array]:
        return factored(hessian[k] if at.size == len(hessian[k]) else hessian[k].take(at, 0).take(at, 1))

    return _of_free(of, len(hessian))


def free_solver_of_root(root: Array, diagonal: Array) -> Callable[[Array, Array], Array]:
    """The same with R R^T + diag L for the Hessian, by systems of at most as many rows as R has columns.

    Args:
        root: [k, P, r]. diagonal: [k, P], > 0.
    """

    def of(k: int, at: Array) -> Callable[[Array], Array]:
        rows, ridge = root[k, at], diagonal[k, at]
        if len(rows) > rows.shape[1]:
            return by_woodbury(rows, ridge)
        hessian = np.dot(rows, rows.T)
        hessian[np.diag_indices(len(rows))] += ridge
        return factored(hessian)

    return _of_free(of, len(root))


def by_woodbury(root: Array, diagonal: Array) -> Callable[[Array], Array]:
    """A function b [P] -> [P] that solves with R R^T + diag L by a system of r rows.

    Args:
        root: R [P, r]. diagonal: L [P], > 0.
    """
    scaled = root / np.sqrt(diagonal)[:, None]
    inner = np.dot(scaled.T, scaled)
    inner[np.diag_indices(len(inner))] += 1
    solve_inner = factored(inner)

    def solve(b: Array) -> Array:
        return (b - np.dot(root, solve_inner(np.dot(b / diagonal, root)))) / diagonal

    return solve


def _of_free(solver: Callable[[int, Array], Callable], count: int) -> Callable[[Array, Array], Array]:
    """Solves with solver(system, its free coordinates), which is kept until these change."""
    kept: list[tuple[bytes, Callable | None]] = [(b"", None)] * count

    def solve(r: Array, free: Array) -> Array:
        d = np.zeros_like(r)
        for k in range(len(r)):
            at, key = np.flatnonzero(free[k]), free[k].tobytes()
            if at.size:
                if key != kept[k][0]:
                    kept[k] = key, solver(k, at)
                d[k, at] = kept[k][1](r[k, at])
        return d

    return solve


def conjugate_gradient(
    product: Callable[[Array, Array], Array],
    precondition: Callable[[Array, Array], Array],
    r: Array,
    free: Array,
    *,
    tolerance: Array,
    enough: Callable[[Array, Array], Array],
    most: int,
) -> tuple[Array, Array]:
    """Preconditioned conjugate gradients (Saad, Iterative methods, 2003, alg. 9.1) in the free coordinates.

    Args:
        product: (v [j, P], which [j]) -> H v of the systems `which` of the k.
        precondition: (r [j, P], which [j]) -> [j, P], symmetric and positive definite on `free`.
        r: [k, P] right-hand sides, 0 where not free. free: [k, P] bool.
        tolerance: [k], ends when r^T M^-1 r has fallen by its square.
        enough: (residual [j, P], which [j]) -> [j] bool; also ends where it says so.
        most: products at most.

    Returns:
        d and the residual r - H d, [k, P] each.
    """
    d, residual = np.zeros_like(r), r.copy()
    z = precondition(residual, np.arange(len(r)))
    s, rho = z.copy(), dot(residual, z)
    goal = np.square(tolerance) * rho
    open_ = rho > 0
    for _ in range(most):
        at = np.flatnonzero(open_)
        if not at.size:
            break
        hs = np.where(free[at], product(s[at], at), 0)
        curvature = dot(s[at], hs)
        # Rounding: no curvature is left along this direction.
        good = curvature > 0
        open_[at[~good]] = False
        at, hs, curvature = at[good], hs[good], curvature[good]
        if not at.size:
            continue
        length = rho[at] / curvature
        d[at] += length[:, None] * s[at]
        residual[at] -= length[:, None] * hs
        z = precondition(residual[at], at)
        before, rho[at] = rho[at], dot(residual[at], z)
        s[at] = z + (rho[at] / before)[:, None] * s[at]
        open_[at] = (rho[at] > goal[at]) & ~enough(residual[at], at)
    return d, residual


def no_preconditioner(w: Array) -> dict[str, Array]:
    """What a state remembers of preconditioners [K, P]: where each was built, products with it since."""
    return {"built": np.zeros_like(w), "products": np.full(len(w), np.inf)}


def preconditioner(
    fns: Functions, state: State, problems: Array
) -> tuple[Callable[[Array, Array, Array], Array], Callable[[Array], None]]:
    """`Functions.preconditioner` of some problems [k], and a function to be told of each product.

    The latter takes which of the k problems [j] had one.

    One that was built far from here still serves, until a step takes more than `Functions.many_products`
    of them. `state.memory` is written to.
    """
    built, products = state.memory["built"], state.memory["products"]
    stale = problems[products[problems] > fns.many_products[problems]]
    # Those alike take one place for all, and so share what is built there.
    _, first, group = np.unique(fns.alike[stale], return_index=True, return_inverse=True)
    built[stale] = state.w[stale[first][group]]
    products[problems] = 0

    def count(which: Array) -> None:
        products[problems[which]] += 1

    return fns.preconditioner(built[problems], problems), count
