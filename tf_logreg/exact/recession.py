"""Which coefficients run off when there is no finite optimum: the span of the recession cone of the loss.

The cone holds every direction along which no row's margin falls. A point inside it raises each margin that
any of them raises. The others, of rows that overlap, hold along all of it, and the cone spans just the
directions that leave those as they are (Clarkson and Jennrich, J. R. Stat. Soc. B 53, 1991). So a point
inside, found by a linear programme or two, and a decomposition of the rows that overlap say which
coefficients can move.
Directions that change no row's logits, as between two equal columns, are no part of it.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy.linalg
import scipy.optimize

from tf_logreg.exact import decomposition, separation
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
    rows = _Rows(blocks, problem, scale)
    inside = rows.part_that_may_move(direction)
    if inside.size > _MOST_COEFFICIENTS:
        return rows.whole(inside), False
    triangle, count = np.zeros((0, len(inside))), 0
    for columns, _ in rows:
        triangle, count = _triangle(triangle, columns), count + len(columns)
    if count * inside.shape[1] * inside.size**2 > _MOST_OPERATIONS:
        return rows.whole(inside), False
    still = _null_space(triangle)
    for _ in range(_MOST_POINTS):
        inside = _across(still, inside)
        inside /= np.abs(inside).max()
        overlapping, gain, working = _overlap(rows, inside)
        further = _further(rows, inside, still, gain, working) if gain.any() else np.zeros(inside.shape)
        if further is None:
            break
        if not further.any():
            span = _null_space(overlapping)
            found = (np.random.default_rng(0).normal(size=len(span)) @ span).reshape(inside.shape)
            return rows.whole(_across(still, found)), True
        inside = inside + further / np.abs(further).max()
    return rows.whole(inside), False


class _Rows:
    """All rows, in the f columns whose coefficients may move; directions [f, r] move r of the outputs.

    Iterated over, it gives (columns [B, f] in units of scale, y [B]) of each block.
    """

    def __init__(self, blocks: Callable[[], Iterable[Block]], problem: Problem, scale: np.ndarray):
        self._blocks, self._problem, self._scale = blocks, problem, scale
        self._features = np.flatnonzero(((problem.l1 == 0) & (problem.l2 == 0)).any(axis=1))
        # The softmax's first class stands still: only differences count.
        self._softmax = problem.w.shape[1] > 1

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for block in self._blocks():
            use = self._problem.weights(block) > 0
            y = self._problem.labels(block.y[use])
            design = separation.design_rows(block.x[use], self._problem, self._scale, self._features)
            yield from ((columns, y[part]) for part, columns in separation.few_rows(design))

    def part_that_may_move(self, direction: np.ndarray) -> np.ndarray:
        """A direction [q, m] -> [f, r], in units of the spread."""
        part = (direction / np.append(self._scale, 1.0)[: len(direction), None])[self._features]
        return (part - part[:, :1])[:, 1:] if self._softmax else part

    def whole(self, part: np.ndarray) -> np.ndarray:
        """A direction [f, r] -> [q, m], in units of the spread."""
        found = np.zeros(self._problem.w.shape)
        found[self._features, -part.shape[1] :] = part
        return found

    def margins(self, part: np.ndarray, columns: np.ndarray, y: np.ndarray) -> np.ndarray:
        """`separation.relative_margins` of rows along a direction [f, r]."""
        part = np.hstack([np.zeros((len(part), 1)), part]) if self._softmax else part
        return separation.relative_margins(part, columns, y)


def _overlap(rows: _Rows, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The margins that `inside` leaves as they are.

    Returns:
        Their constraints [*, f r]: R of the QR decomposition of all, the sum of all [f r], and some of them,
        which a programme begins with.
    """
    triangle, gain, some = np.zeros((0, inside.size)), np.zeros(inside.size), []
    for columns, y in rows:
        at, other = np.nonzero(rows.margins(inside, columns, y) < separation.POSITIVE)
        held = _constraints(columns[at], y[at], other, inside.shape[1])
        triangle, gain = _triangle(triangle, held), gain + held.sum(axis=0)
        some.append(held[:: max(1, len(held) // 200)])
    return triangle, gain, np.vstack(some)


def _further(
    rows: _Rows, inside: np.ndarray, still: np.ndarray, gain: np.ndarray, working: np.ndarray
) -> np.ndarray | None:
    """A point [f, r] of the cone that raises what `inside` leaves, or zeros; None is unknown.

    Linear programmes over a working set of constraints, to which the rows that the last point violates
    most are added.

    Args:
        rows: all rows.
        inside: [f, r] in the cone.
        still: [k, f], directions that change no row.
        gain: [f r], what the point raises. working: [*, f r], the constraints to begin with.
    """
    for _ in range(_ROUNDS):
        if working.size > _LARGEST_PROGRAMME:
            return None
        found = scipy.optimize.linprog(
            -gain / np.abs(gain).max(), A_ub=-working, b_ub=np.zeros(len(working)), bounds=(-1, 1),
            method="highs", options=_OPTIONS,
        )  # fmt: skip
        if found.x is None:
            return None
        point = _across(still, found.x.reshape(inside.shape))
        if np.abs(point).max() < separation.POSITIVE:
            return np.zeros(inside.shape)
        most, behind = 0.0, [working]
        for columns, y in rows:
            margin = rows.margins(point, columns, y)
            most = max(most, margin[rows.margins(inside, columns, y) < separation.POSITIVE].max(initial=0.0))
            at, other = np.nonzero(margin < separation.NEGATIVE)
            worst = np.argsort(margin[at, other])[:_ROWS_A_ROUND]
            at, other = at[worst], other[worst]
            behind.append(_constraints(columns[at], y[at], other, inside.shape[1]))
        if sum(map(len, behind)) == len(working):
            return point if most >= separation.POSITIVE else np.zeros(inside.shape)
        working = np.vstack(behind)
    return None


def _constraints(columns: np.ndarray, y: np.ndarray, other: np.ndarray, moving: int) -> np.ndarray:
    """`separation.constraints` of rows [B, f] against classes `other` [B], each over its largest number."""
    found = separation.constraints(columns, y, other, moving)
    largest = np.abs(found).max(axis=1, keepdims=True)
    return found / np.where(largest > 0, largest, 1)


def _across(still: np.ndarray, part: np.ndarray) -> np.ndarray:
    """What of a direction [f, r] is orthogonal to those that change no row, `still` [k, f]."""
    return part - still.T @ (still @ part)


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
    _, singular, v = decomposition.svd(rows, full=True)
    return v[int((singular > _NULL * singular.max(initial=0.0)).sum()) :]
