"""A wide problem as one of at most n columns, for n rows of p > n columns that l2 penalises.

The penalty of problem k is c_k D^-1 with numbers c_k and a diagonal D that they share. At the optimum the
gradient of the penalty is that of the data, so the kernel is W = D X^T U (the representer theorem; Hastie and
Tibshirani, Efficient quadratic regularization for expression arrays, Biostatistics 5, 2004). With
G = X D X^T = Z Z^T, Z [n, r] by Cholesky with pivots, V = Z^T U gives

    X W = Z V    and    W^T D^-1 W = V^T V

so V has the objective of W, over rows Z with l2 = c_k. Any method solves it; X is read for G, and for W at
the end. Pivots below rounding are left out, and G has the square of the condition of X. What this costs
shows in the certificate, which is of W and X; the loop goes on from W where it misses its target.
"""

import collections
import dataclasses
from types import ModuleType

import numpy as np
from scipy.linalg import blas, lapack

from tf_logreg import machine
from tf_logreg.engines import on_host
from tf_logreg.engines.engine import Held
from tf_logreg.errors import InterruptError
from tf_logreg.fit.full_batch import polish, quick_start
from tf_logreg.fit.full_batch.goal import ROUNDING, Goal, Start
from tf_logreg.fit.full_batch.penalized import WEAK_L2, Penalized
from tf_logreg.fit.monitor import Monitor

MOST_ROWS = 4096  # G takes 128 MiB, and what a method makes of Z a few times that
_CHUNK = 2**22  # numbers of X that are scaled at a time
_MOST_STEPS = 50
_STEPS, _PRODUCTS = 10, 50  # of a fit: Newton steps, and reads of X by conjugate gradients
_SLOWER = 8  # products with few columns, which wait for memory, than those of matrices; for each operation
_SAME = 1e-12  # relative difference of penalties that counts as rounding


class _Space:
    """Z [n, r] of some rows and D, and the way between kernels W [p, J] and V [r, J]."""

    def __init__(self, held: Held, d: np.ndarray):
        """`d` [p] is the diagonal of D."""
        self._held, self._d = held, d
        n, p = held.rows.x.shape
        step = max(1, _CHUNK // n)
        self._parts = [slice(start, min(start + step, p)) for start in range(0, p, step)]
        gram, root = np.zeros((n, n), order="F"), np.sqrt(d)
        for part in self._parts:
            # BLAS takes columns; it fills one half of the symmetric product.
            columns = held.columns(part, root[part]).T
            gram = blas.dsyrk(1.0, columns, 1.0, gram, trans=1, lower=1, overwrite_c=1)
        factor, pivots, rank, _ = lapack.dpstrf(gram, lower=1, overwrite_a=1)
        self._pivots = pivots[:rank] - 1
        self._triangle = np.tril(factor[:rank, :rank])
        self.z = np.zeros((n, rank))
        self.z[self._pivots] = self._triangle
        self.z[pivots[rank:] - 1] = factor[rank:, :rank]

    def inside(self, kernel: np.ndarray) -> np.ndarray:
        """V of the part of W that changes logits; the rest only adds to the penalty."""
        if not kernel.any():
            return np.zeros((self.z.shape[1], kernel.shape[1]))
        ones = np.ones(len(kernel))
        logits = sum(self._held.columns(part, ones[part]) @ kernel[part] for part in self._parts)
        return lapack.dtrtrs(self._triangle, logits[self._pivots], lower=1)[0]

    def outside(self, v: np.ndarray) -> np.ndarray:
        """W of V."""
        u = np.zeros((len(self.z), v.shape[1]))
        u[self._pivots] = lapack.dtrtrs(self._triangle, v, lower=1, trans=1)[0]
        return np.concatenate([self._held.columns(part, self._d[part]).T @ u for part in self._parts])


def start(
    method: ModuleType, problems: Penalized, w: np.ndarray, *, goal: Goal, monitor: Monitor
) -> Start | None:
    """Takes K problems from w [K, P] to their optimum in row space; None where that would not pay.

    Args:
        method: from `solvers.load`; one that takes Hessians.
        problems: K of them; two reads of the rows are counted, and one where w has a kernel.
        goal: half of its gap, or on small problems rounding, ends the steps.
        monitor: may end them early.

    Raises:
        InterruptError: a signal arrived. A run that resumes takes these steps again.
    """
    if not method.USES_HESSIAN or not applies(problems):
        return None
    groups = _of_one_shape(problems.l2)
    found = Start(w.copy(), np.full(len(w), np.inf), np.zeros(len(w), int))
    for group in groups:
        some = problems.some(group)
        scale = some.l2.min(axis=1)
        with machine.blas_threads(float(problems.num_rows) ** 2 * problems.shape[0]):
            space = _Space(problems.engine.held, scale[0] / some.l2[0])
        if not space.z.shape[1]:
            continue
        inside = _solved(method, some, space, scale, w[group], goal.some(group), monitor)
        good = np.isfinite(inside.w).all(axis=1)
        at = group[good]
        found.w[at] = _kernels(some, space, inside.w)[good]
        found.gap[at], found.steps[group] = inside.gap[good], inside.steps
    reads = 2 + bool(problems.unpack(w)[:, :-1].any())
    problems.passes += reads
    problems.made["row_space"] += reads * len(groups)
    return found


def applies(problems: Penalized) -> bool:
    """Whether K problems are solved in row spaces: l2 alone on all columns, rows in memory, and it pays."""
    held, l2 = problems.engine.held, problems.l2
    if held is None or problems.l1.any() or (l2 < WEAK_L2).any() or len(held.rows.y) > problems.shape[0]:
        return False
    return pays(len(held.rows.y), *problems.shape, len(l2), len(_of_one_shape(l2)))


def pays(n: int, p: int, m: int, count: int, spaces: int) -> bool:
    """Whether K problems of m outputs, n rows and p columns take less work in their row spaces."""
    if n > min(p, MOST_ROWS):
        return False
    of_spaces = spaces * float(n) ** 2 * (p + n / 3)
    return of_spaces + operations(n, n, m, count) < operations(n, p, m, count)


def operations(n: int, p: int, m: int, count: int) -> float:
    """Roughly those of a fit of K problems of m outputs over n rows of p columns, in products of matrices."""
    size = float(p * m)
    if Penalized.explicit(p * m):
        return _STEPS * count * (n * size**2 + size**3 / 3)
    side = float(min(n, p))  # of what preconditions
    return count * (side**2 * (max(n, p) + side / 3) + _PRODUCTS * _SLOWER * 4 * n * size)


def _of_one_shape(l2: np.ndarray) -> list[np.ndarray]:
    """Groups of problems whose penalties [K, p] > 0 differ by a factor alone."""
    shape, left, groups = l2 / l2.min(axis=1, keepdims=True), np.arange(len(l2)), []
    while left.size:
        same = (np.abs(shape[left] - shape[left[0]]) <= _SAME * shape[left[0]]).all(axis=1)
        groups.append(left[same])
        left = left[~same]
    return groups


def _solved(
    method: ModuleType,
    problems: Penalized,
    space: _Space,
    l2: np.ndarray,
    w: np.ndarray,
    goal: Goal,
    monitor: Monitor,
) -> Start:
    """The optimum over Z, packed, and gaps no larger than the goal's where steps came so near; `l2` [k]."""
    count, rank = len(l2), space.z.shape[1]
    inner = dataclasses.replace(
        problems,
        engine=on_host.over_rows(problems.engine.held.rows._replace(x=space.z)),
        shape=(rank, problems.shape[1]),
        l1=np.zeros((count, rank)),
        l2=np.broadcast_to(l2[:, None], (count, rank)),
        sample=None,
        sums=None,
        made=collections.Counter(),
    )
    target = np.full(count, ROUNDING) if polish.goes_on(problems, goal) else goal.gap / 2
    whole = problems.unpack(w)
    kernel = space.inside(_side_by_side(whole[:, :-1]))
    v = np.concatenate([_apart(kernel, whole.shape[2]), whole[:, -1:]], axis=1)
    v = inner.pack(v)
    if polish.goes_on(problems, goal):
        exact = dataclasses.replace(inner, engine=dataclasses.replace(inner.engine, exact=True))
        steps_alone = dataclasses.replace(goal, last_digits=True, max_passes=np.inf)  # no reads of X
        quick = quick_start.start(exact, v, steps_alone, monitor)
        if quick is not None and np.isfinite(quick.gap).all():
            return quick
    fns = inner.functions(target, polish.NOISE)
    state, steps = method.init(fns, v), np.zeros(count, int)
    for _ in range(min(_MOST_STEPS, goal.max_steps)):
        state.finished |= (state.gap <= target) | state.stalled | ~np.isfinite(state.w).all(axis=1)
        if state.finished.all() or monitor.late():
            break
        steps[~state.finished] += 1
        with inner.blas_threads():
            state = method.step(fns, state)
        if monitor.interrupted():
            raise InterruptError(
                "Interrupted while the rows' own space was searched, before the first pass: the same command "
                "begins there."
            )
    near = state.stalled | (state.gap <= goal.gap)
    return Start(state.w, np.where(near, np.minimum(state.gap, goal.gap), np.inf), steps)


def _kernels(problems: Penalized, space: _Space, v: np.ndarray) -> np.ndarray:
    """W [k, P] of V, packed with its biases, [k, r m or (r + 1) m]."""
    rank, m = space.z.shape[1], problems.shape[1]
    v = v.reshape(len(v), -1, m)
    kernel = _apart(space.outside(_side_by_side(v[:, :rank])), m)
    return np.concatenate([kernel, v[:, rank:]], axis=1).reshape(len(v), -1)


def _side_by_side(kernel: np.ndarray) -> np.ndarray:
    """[k, p, m] -> [p, k m]."""
    return kernel.transpose(1, 0, 2).reshape(kernel.shape[1], -1)


def _apart(kernel: np.ndarray, m: int) -> np.ndarray:
    """[p, k m] -> [k, p, m]."""
    return kernel.reshape(len(kernel), -1, m).transpose(1, 0, 2)
