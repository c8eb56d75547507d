"""The inverse Hessian by a metric and the latest moves (BFGS), for K problems with their own histories.

A move s of the weights that changed the gradient by y tells the curvature along s. Any metric M serves as
the start: the identity gives L-BFGS (Liu and Nocedal, Math. Program. 45, 1989), a Hessian from some of the
rows or from a few steps ago a Newton step that mends itself.
"""

from collections.abc import Callable

import numpy as np

from tf_logreg.solvers.core import Array, dot

_HISTORY = 10


def no_history(w: Array) -> dict[str, Array]:
    """What a state remembers [K, 10, P]: moves of w [K, P] and changes of the gradient, the newest last."""
    empty = np.zeros((len(w), _HISTORY, w.shape[1]))
    return {"moves": empty, "changes": empty.copy()}


def remember(memory: dict[str, Array], at: Array, move: Array, change: Array) -> None:
    """Adds a move [k, P] and its change of the gradient to the histories of the problems `at` [k]."""
    # s^T y > 0 keeps the approximation positive definite; rounding can break it near the optimum.
    good = at[dot(move, change) > 1e-14 * dot(change, change)]
    for name, latest in (("moves", move), ("changes", change)):
        history = memory[name]
        history[good, :-1] = history[good, 1:]
        history[good, -1] = latest[np.isin(at, good)]


def forget(memory: dict[str, Array], problems: Array) -> None:
    """Empties the histories of some problems."""
    for name in ("moves", "changes"):
        memory[name][problems] = 0


def inverse_hessian_times(
    gradient: Array, moves: Array, changes: Array, metric: Callable[[Array], Array]
) -> Array:
    """The two loops of Nocedal (1980); slots of the history that are still empty do nothing.

    s = moves[:, i], y = changes[:, i], rho = 1 / s^T y as in the paper.

    Args:
        gradient: [k, P]. moves, changes: [k, 10, P].
        metric: [k, P] -> M^-1 times it.
    """
    filled = np.flatnonzero(moves.any(axis=(0, 2)))
    q = gradient.copy()
    products = np.einsum("kip,kip->ki", moves, changes)
    rho = np.divide(1, products, out=np.zeros_like(products), where=products > 0)
    alpha = np.zeros_like(rho)
    for i in filled[::-1]:
        alpha[:, i] = rho[:, i] * dot(moves[:, i], q)
        q -= alpha[:, i, None] * changes[:, i]
    r = metric(q)
    for i in filled:
        beta = rho[:, i] * dot(changes[:, i], r)
        r += (alpha[:, i] - beta)[:, None] * moves[:, i]
    return r
