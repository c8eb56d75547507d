"""Which coefficients run off when there is no finite optimum: the span of the recession cone of the loss.

The cone holds every direction along which no row's margin falls. A point inside it raises each margin that
any of them raises. The others, of rows that overlap, hold along all of it, and the cone spans just the
directions that leave those as they are (Clarkson and Jennrich, J. R. Stat. Soc. B 53, 1991). So a point
inside, found by a linear programme or two, and a decomposition of the rows that overlap say which
coefficients can move.
Directions that change no row's logits, as between two equal columns, are no part of it.
"""

from collections.abc import Callable, Iterable

import numpy as np
import scipy.linalg
import scipy.optimize

from tf_logreg.exact import separation
from tf_logreg.exact.host import Block, Problem

_MOST_COEFFICIENTS = 600  # that may move
_MOST_OPERATIONS = 2e11  # of the decomposition
_MOST_POINTS, _ROUNDS = 5, 20
_LARGEST_PROGRAMME, _ROWS_A_ROUND = 2_000_000, 2000
_OPTIONS = {"time_limit": 20.0, "primal_feasibility_tolerance": 1e-10}
_NULL = 1e-10  # singular values, over the largest


def running_off(
    blocks: Callable[[], Iterable[Block]], problem: Problem, scale: np.ndarray, direction: np.ndarray
) -> tuple[np.ndarray, bool]:
    """A direction in the span of the recession cone that moves each coefficient which can move.

    Args:
        blocks: gives all rows, anew each time it is called.
        problem: its coefficients without a penalty may move.
        scale: [p], one over the spread of each column; directions are measured in units of it.
        direction: [q, m] in the cone, from `separation.separating_direction`.

    Returns:
        [q, m] in units of the spread, and whether it is of the whole span. Where that would take too long it
        is the given one, and what was found beside it.
    """
    outputs = problem.w.shape[1]
    features = np.flatnonzero(((problem.l1 == 0) & (problem.l2 == 0)).any(axis=1))
    # The softmax's first class stands still: only differences count.
    moving = max(outputs - 1, 1)
    size, shape = features.size * moving, (features.size, moving)
    inside = (direction / np.append(scale, 1.0)[: len(direction), None])[features]
    inside = (inside - inside[:, :1])[:, 1:] if outputs > 1 else inside

    def whole(part: np.ndarray) -> np.ndarray:
        found = np.zeros(problem.w.shape)
        found[features, outputs - moving :] = part
        return found

    def rows() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """(columns [B, f] in units of scale, y [B]) of each block."""
        for block in blocks():
            use = problem.weights(block) > 0
            yield (
                separation.design_rows(block.x[use], problem, scale)[:, features],
                problem.labels(block.y[use]),
            )

    if size > _MOST_COEFFICIENTS:
        return whole(inside), False
    triangle, count = np.zeros((0, features.size)), 0
    for columns, _ in rows():
        triangle, count = _triangle(triangle, columns), count + len(columns)
    if count * moving * size**2 > _MOST_OPERATIONS:
        return whole(inside), False
    still = _null_space(triangle)

    def margins(part: np.ndarray, columns: np.ndarray, y: np.ndarray) -> np.ndarray:
        part = part if outputs == 1 else np.hstack([np.zeros((features.size, 1)), part])
        return separation.relative_margins(part, columns, y)

    def constraints(columns: np.ndarray, y: np.ndarray, at: np.ndarray, other: np.ndarray) -> np.ndarray:
        found = separation.constraints(columns[at], y[at], other, moving)
        largest = np.abs(found).max(axis=1, keepdims=True)
        return found / np.where(largest > 0, largest, 1)

    def further(gain: np.ndarray, working: np.ndarray) -> np.ndarray | None:
        """A point [f, moving] of the cone that raises what `inside` leaves, or zeros; None is unknown."""
        for _ in range(_ROUNDS):
            if working.size > _LARGEST_PROGRAMME:
                return None
            found = scipy.optimize.linprog(
                -gain / np.abs(gain).max(), A_ub=-working, b_ub=np.zeros(len(working)), bounds=(-1, 1),
                method="highs", options=_OPTIONS,
            )  # fmt: skip
            if found.x is None:
                return None
            point = found.x.reshape(shape)
            point -= still.T @ (still @ point)
            if np.abs(point).max() < separation.POSITIVE:
                return np.zeros(shape)
            most, behind = 0.0, [working]
            for columns, y in rows():
                margin = margins(point, columns, y)
                most = max(most, margin[margins(inside, columns, y) < separation.POSITIVE].max(initial=0.0))
                at, other = np.nonzero(margin < separation.NEGATIVE)
                worst = np.argsort(margin[at, other])[:_ROWS_A_ROUND]
                behind.append(constraints(columns, y, at[worst], other[worst]))
            if sum(map(len, behind)) == len(working):
                return point if most >= separation.POSITIVE else np.zeros(shape)
            working = np.vstack(behind)
        return None

    for _ in range(_MOST_POINTS):
        inside = inside - still.T @ (still @ inside)
        inside /= np.abs(inside).max()
        overlapping, gain, working = np.zeros((0, size)), np.zeros(size), []
        for columns, y in rows():
            at, other = np.nonzero(margins(inside, columns, y) < separation.POSITIVE)
            held = constraints(columns, y, at, other)
            overlapping, gain = _triangle(overlapping, held), gain + held.sum(axis=0)
            working.append(held[:: max(1, len(held) // 200)])
        point = further(gain, np.vstack(working)) if gain.any() else np.zeros(shape)
        if point is None:
            break
        if not point.any():
            span = _null_space(overlapping)
            found = (np.random.default_rng(0).normal(size=len(span)) @ span).reshape(shape)
            return whole(found - still.T @ (still @ found)), True
        inside = inside + point / np.abs(point).max()
    return whole(inside), False


def _triangle(above: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """R of the QR decomposition of both, with no more rows than columns."""
    both = np.vstack([above, rows])
    if len(both) <= both.shape[1]:
        return both
    return scipy.linalg.qr(both, mode="r", overwrite_a=True, check_finite=False)[0][: both.shape[1]]


def _null_space(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis [k, c] of what rows [r, c] take to zero."""
    if not len(rows):
        return np.eye(rows.shape[1])
    _, singular, v = np.linalg.svd(rows, full_matrices=True)
    return v[int((singular > _NULL * singular.max(initial=0.0)).sum()) :]
