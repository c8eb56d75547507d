"""Proof that a problem has no finite optimum: a direction along which no row's margin falls.

If d moves only coefficients without a penalty, no row's logit of its own class falls behind another's
along d, and some row's rises, then the loss falls for ever along d (Albert and Anderson, Biometrika
71, 1984). When separation is complete the fit itself, its coefficients without a penalty, is such a
direction, of however many; when it is quasi-complete a linear programme finds one (Konis, Linear
programming algorithms for detecting separated data, 2007): maximise the sum of margins over the box
|d| <= 1. Rows enter the programme only as they are violated.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy.optimize
import scipy.sparse

from tf_logreg.exact.host import Block, Problem

_LARGEST_PROGRAMME = 5_000_000  # numbers in its matrix: about a minute
_LAID_OUT = 2**20  # numbers of sparse rows that are laid out at a time
_ROUNDS, _ROWS_A_ROUND = 30, 2000
_OPTIONS = {"time_limit": 60.0, "primal_feasibility_tolerance": 1e-10}
NEGATIVE, POSITIVE = -1e-10, 1e-5  # of margins, relative to the terms that each sums


def separating_direction(
    blocks: Callable[[], Iterable[Block]], problem: Problem, scale: np.ndarray
) -> tuple[np.ndarray | None, bool]:
    """A direction along which the loss has no minimum.

    Args:
        blocks: gives all rows, anew each time it is called.
        problem: at weights that have run far, if they run.
        scale: [p], one over the spread of each column; directions are measured in units of it.

    Returns:
        d [q, m] or None, and whether that is settled: with None and False the linear programme would be
        too large, or took too long.
    """
    outputs = problem.w.shape[1]
    sizes = np.append(scale, 1.0)[: len(problem.w)]
    free = ((problem.l1 == 0) & (problem.l2 == 0)).any(axis=1)
    features = np.flatnonzero(free)
    if not features.size:
        return None, True
    # The softmax's first class stands still: only differences count.
    moving = outputs if outputs == 1 else outputs - 1

    def margins(direction: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(x [B, f] in units of scale, y, margins [B, C - 1]) of each block's rows."""
        for block in blocks():
            use = problem.weights(block) > 0
            y = problem.labels(block.y[use])
            x = design_rows(block.x[use], problem, scale, features)
            yield x, y, relative_margins(direction, x, y)

    fitted = (problem.w / sizes[:, None])[features]
    if np.abs(fitted).max() > 0:
        fitted = fitted / np.abs(fitted).max()
        if min(m.min(initial=np.inf) for *_, m in margins(fitted)) > -NEGATIVE:
            return _whole(fitted * sizes[features][:, None], features, problem.w.shape), True

    size = features.size * moving
    rows_a_round = min(_ROWS_A_ROUND, _LARGEST_PROGRAMME // size)
    if not rows_a_round:
        return None, False
    gain, rows, candidate = np.zeros((features.size, moving)), np.zeros((0, size)), fitted
    for number in range(_ROUNDS):
        least, most, values, worst = np.inf, 0.0, np.zeros(0), np.zeros((0, size))
        for x, y, margin in margins(candidate):
            least, most = min(least, margin.min(initial=np.inf)), max(most, margin.max(initial=0.0))
            # The rows that fall behind most, so far; all are candidates before the first programme.
            at, other = np.nonzero(margin < (np.inf if number == 0 else NEGATIVE))
            order = np.argsort(margin[at, other])[:rows_a_round]
            at, other = at[order], other[order]
            values = np.concatenate([values, margin[at, other]])
            worst = np.vstack([worst, constraints(x[at], y[at], other, moving)])
            keep = np.argsort(values)[:rows_a_round]
            values, worst = values[keep], worst[keep]
            if number == 0:
                gain += x.T @ _sum_of_leads(y, outputs)
        if number and least >= NEGATIVE:
            if most < POSITIVE:
                return None, True
            return _whole(candidate * sizes[features][:, None], features, problem.w.shape), True
        largest = np.abs(worst).max(axis=1, keepdims=True)
        rows = np.vstack([rows, worst / np.where(largest > 0, largest, 1)])
        if rows.size > _LARGEST_PROGRAMME:
            return None, False
        found = scipy.optimize.linprog(
            -gain.ravel() / np.abs(gain).max(initial=1e-300), A_ub=-rows, b_ub=np.zeros(len(rows)),
            bounds=(-1, 1), method="highs", options=_OPTIONS,
        )  # fmt: skip
        if found.x is None:
            return None, False
        if not np.abs(found.x).max() > POSITIVE:
            return None, True
        found = found.x.reshape(features.size, moving)
        candidate = found if outputs == 1 else np.hstack([np.zeros((features.size, 1)), found])
    return None, False


def design_rows(x: np.ndarray, problem: Problem, scale: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Rows x [B, p] as given -> [B, f] float64: centred, in units of 1 / scale [p]; p stands for the bias.

    Sparse rows stay so; their problem has no centre.
    """
    inside = features[features < len(scale)]
    ones = np.ones((x.shape[0], features.size - inside.size))
    if scipy.sparse.issparse(x):
        some = x[:, inside].astype(np.float64) * scale[inside]
        return scipy.sparse.hstack([some, ones], format="csr")
    centred = (x[:, inside].astype(np.float64) - problem.centre[inside]) * scale[inside]
    return np.hstack([centred, ones])


def few_rows(x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """(which rows, their design as an array) of a block's `design_rows`; of sparse ones a part at a time."""
    if not scipy.sparse.issparse(x):
        yield slice(None), x
        return
    step = max(1, _LAID_OUT // max(1, x.shape[1]))
    for start in range(0, x.shape[0], step):
        part = slice(start, start + step)
        yield part, x[part].toarray()


def relative_margins(direction: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By how much the logit of a row's own class leads each other class's along a direction, [B, C - 1].

    Relative to what it is a sum of: a column's outlier must not make all other rows seem to touch.

    Args:
        direction: [f, m]. x: [B, f]. y: [B].
    """
    size = (abs(x) @ np.abs(direction)).max(axis=1, keepdims=True)
    return _margins(x @ direction, y) / np.where(size > 0, size, 1)


def names(
    direction: np.ndarray, columns: tuple[str, ...], class_names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which features and which classes run off along a direction [q, m]."""
    large = np.abs(direction) > 1e-6 * np.abs(direction).max()
    features = tuple(
        name for name, used in zip(columns, large[: len(columns)].any(axis=1), strict=True) if used
    )
    if direction.shape[1] == 1:
        return features, class_names
    # A class runs off when its column differs from another's.
    middle = np.median(direction, axis=1, keepdims=True)
    apart = np.abs(direction - middle).max(axis=0) > 1e-6 * np.abs(direction).max()
    return features, tuple(name for name, used in zip(class_names, apart, strict=True) if used)


def _margins(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By how much the logit of a row's own class leads each other class's, [B, C - 1]."""
    if z.shape[1] == 1:
        return z * (2 * y - 1)[:, None]
    lead = z[np.arange(len(y)), y][:, None] - z
    return lead[_others(y, z.shape[1])].reshape(len(y), z.shape[1] - 1)


def _others(y: np.ndarray, classes: int) -> np.ndarray:
    return np.arange(classes) != y[:, None]


def _sum_of_leads(y: np.ndarray, outputs: int) -> np.ndarray:
    """What a row's x is multiplied by in the sum of its margins, by moving output: [B, 1 or C - 1]."""
    if outputs == 1:
        return (2.0 * y - 1)[:, None]
    return (outputs * np.eye(outputs)[y] - 1)[:, 1:]


def constraints(x: np.ndarray, y: np.ndarray, other: np.ndarray, moving: int) -> np.ndarray:
    """Rows a of a.d = the margin of each row over its `other`-th other class; d [f * moving] flat.

    Args:
        x: [B, f]. y: [B]. other: [B] in 0..C-2. moving: 1 for a sigmoid, else C - 1.
    """
    x = x.toarray() if scipy.sparse.issparse(x) else x
    rival = other + (other >= y)
    own = np.zeros((len(y), max(moving + 1, 2)))
    own[np.arange(len(y)), y] += 1
    own[np.arange(len(y)), rival] -= 1
    return (x[:, :, None] * own[:, None, 1:]).reshape(len(y), x.shape[1] * moving)


def _whole(direction: np.ndarray, features: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(shape)
    whole[features] = direction
    return whole
