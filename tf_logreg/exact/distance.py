"""How far coefficients and logits are at most from those of the optimum, by the gradient and the curvature at w.

With d = w* - w, M = the most that d moves a row's logits apart, v a subgradient of F at w and H' below the
Hessian of its smooth part there, the log loss, whose third derivative is at most M times its second, has

    ||d||^2 (1 - exp(-M)) / M <= -v . d <= ||v||_H'^-1 ||d||,     ||d||^2 = d . H' d.

M is at most rho ||d||, rho the largest norm of a row, so that ||d|| <= -log(1 - rho lambda) / rho for lambda =
||v||: a bound on every coefficient and logit that needs no optimum to be found. `docs/certificate.md` derives it.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import scipy.sparse

from tf_logreg import machine
from tf_logreg.exact import host, logits, metric, normal_equations, sums
from tf_logreg.exact.host import Block, Problem

_EPS = np.finfo(np.float64).eps
_MOST_DENSE = 2000  # coefficients of a problem whose Hessian is summed
_FEW_OPERATIONS = 2e8  # for which the Hessian is summed over all rows
_NUMBERS_A_ROW = 40  # products of a row with itself, for each of its numbers: a tenth of a fit
_ROWS_A_COEFFICIENT = 20
_MOST_MEANS = 2e7  # numbers of the rows' mean curvature beside l2
_NEAR = 0.1  # rho lambda, below which a closer rho would change a bound by less than that
_MOST_OPERATIONS = 2e10  # of a closer one
_SUMS, _LOGITS = 16, 2  # units of the last digit that sums and logits may be off


@dataclasses.dataclass(frozen=True)
class Distance:
    """What is known of one problem.

    Attributes:
        problem: at w.
        norms: by curvature; None where `reason` says why nothing is known.
        slope: lambda, the norm of a subgradient, what rounding may hide of it included.
        hidden: that part.
        longest: rho, by which a row's logits move apart at most for a d of norm one.
        step: [q, m], Newton's from w, where all rows give the curvature and there is no l1; else None.
        reason: '' or why nothing is known.
    """

    problem: Problem
    norms: metric.Dense | metric.Wide | None = None
    slope: float = np.inf
    hidden: float = np.inf
    longest: float = np.inf
    step: np.ndarray | None = None
    reason: str = ""

    @property
    def radius(self) -> float:
        """||w* - w|| at most; infinite where w is too far from the optimum to say."""
        if not self.longest * self.slope < 1:
            return np.inf
        return -np.log1p(-self.longest * self.slope) / self.longest if self.longest else self.slope

    @property
    def beside_step(self) -> float:
        """||w* - w - step|| at most: curvature changes by a factor of exp(M t) at most on the way."""
        apart = self.longest * self.radius
        if not 0 < apart < np.inf:
            return self.hidden if apart == 0 else np.inf
        change = apart / 2 * np.exp(apart) if apart < 1e-3 else (np.expm1(apart) - apart) / apart
        return self.hidden + self.radius * change

    @property
    def coefficients(self) -> np.ndarray:
        """[q, m] bounds on |w - w*|, of the columns as the problem has them; infinite where there is none."""
        if self.norms is None or self.radius == np.inf:
            return np.full(self.problem.w.shape, np.inf)
        size = self.norms.coefficients
        found = self.radius * size
        if self.step is not None:
            found = np.minimum(found, np.abs(self.step) + self.beside_step * size)
        return found

    def rows(self, x: np.ndarray | scipy.sparse.csr_array) -> np.ndarray:
        """Bounds [B, m] on how far the logits of raw rows x [B, p] are from those at the optimum."""
        x, bias = _centred(x, self.problem), self.problem.has_bias
        size = self.norms.rows(x, bias=bias)
        found = self.radius * size
        if self.step is not None:
            p = x.shape[1]
            moved = np.abs(x @ self.step[:p] + (self.step[p] if bias else 0))
            found = np.minimum(found, moved + self.beside_step * size)
        return found

    def rows_at_most(self, x: np.ndarray | scipy.sparse.csr_array) -> np.ndarray:
        """The same for a fraction of the work, [B]: more, and of all outputs."""
        return self.radius * self.norms.at_most(_centred(x, self.problem), bias=self.problem.has_bias)


@dataclasses.dataclass
class _Sums:
    """One problem's sums over the rows, a part of them or all, undivided."""

    weight: float = 0.0
    gradient: np.ndarray | float = 0.0  # [m, q]
    rounding: np.ndarray | float = 0.0  # [m, q], what it may be off by
    matrix: np.ndarray | float = 0.0  # [q m, q m] of some rows; or [m, q, m], by which they are multiplied
    longest: float = 0.0  # sum_j (x_j scale_j)^2 + 1 of a row

    def add(self, other: "_Sums") -> None:
        """Adds further rows."""
        for name in ("weight", "gradient", "rounding", "matrix"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest = max(self.longest, other.longest)


def distances(
    blocks: Callable[[], Iterable[Block]],
    problems: list[Problem],
    scale: np.ndarray,
    num_rows: int,
    gather: sums.Gather = sums.alone,
) -> list[Distance]:
    """How far K problems over the same rows are from their optima.

    Args:
        blocks: gives this worker's rows, anew each time it is called.
        problems: K of them, at w, with the same penalties.
        scale: [p], one over the spread of each column.
        num_rows: of all workers.
        gather: how workers share what they found.
    """
    way = _way(problems[0], num_rows)
    if isinstance(way, str):
        return [Distance(problem, reason=way) for problem in problems]
    view, bias = logits.View(problems), problems[0].has_bias
    totals = [_Sums() for _ in problems]

    def part_of(block: Block) -> list[_Sums]:
        seen = view.of(block)
        return _part(seen, block, problems, scale, way)

    for parts in machine.in_parallel(part_of, blocks()):
        for total, part in zip(totals, parts, strict=True):
            total.add(part)
    found = []
    for problem, total in zip(problems, totals, strict=True):
        whole = sums.summed(gather, total.weight, total.gradient, total.rounding, total.matrix)
        longest = float(gather(np.array(total.longest)).max())
        found.append(_judged(problem, _Sums(*whole, longest), np.append(scale, [1.0] * bias), way))
    return _closer(blocks, problems, found, num_rows, gather)


@dataclasses.dataclass(frozen=True)
class _Way:
    """How curvature is summed: a matrix, or beside l2 the rows' mean; of one row in `every`."""

    is_dense: bool
    every: int


def _way(problem: Problem, num_rows: int) -> _Way | str:
    """How, or why not."""
    (q, m), size = problem.w.shape, problem.w.size
    if size <= _MOST_DENSE:
        every = size // _NUMBERS_A_ROW if num_rows * float(size) ** 2 > _FEW_OPERATIONS else 1
        return _Way(True, max(1, min(every, num_rows // (_ROWS_A_COEFFICIENT * size))))
    if not (problem.l2[: len(problem.centre)] > 0).all():
        return f"{size:,} coefficients, of which some have no l2, are too many to find their curvature"
    if problem.has_bias and m * m * float(q) > _MOST_MEANS:
        return f"{size:,} coefficients in {m:,} classes are too many to find their curvature"
    return _Way(False, max(1, m * m // 8))


def _part(
    seen: logits.Seen, block: Block, problems: list[Problem], scale: np.ndarray, way: _Way
) -> list[_Sums]:
    """The sums of a block's rows for each problem."""
    x, bias, found = seen.x, problems[0].has_bias, []
    sparse = scipy.sparse.issparse(x)
    square = (x.multiply(x) if sparse else np.square(x)) @ np.square(scale) + bias
    size = abs(x)
    for k, problem in enumerate(problems):
        weight = seen.weight[seen.weighting[k]]
        p, error, _ = logits.probabilities(seen.logits[k], seen.labels[seen.labelling[k]])
        spread = p * (1 - p) if len(p) > 2 else np.tile(p[0] * p[1], (len(error), 1))
        largest = np.abs(problem.w).max(axis=1)
        reach = size @ largest[: x.shape[1]] + np.abs(block.offset).max(axis=1) + largest[x.shape[1] :].sum()
        doubt = _EPS * weight * (_SUMS * np.abs(error) + 2 * _LOGITS * reach * spread)
        some = slice(None, None, way.every)
        few = x[some]
        if way.is_dense:
            matrix = _matrix(few, weight[some], p[:, some], problem)
        else:
            matrix = _means(few, weight[some], p[:, some], len(error), bias)
        longest = float(square[weight > 0].max(initial=0.0))
        gradient = logits.transposed(x, weight * error, bias)
        found.append(_Sums(weight.sum(), gradient, logits.transposed(size, doubt, bias), matrix, longest))
    return found


def _matrix(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray:
    """sum_i weight (diag p - p p^T) by [x, 1] [x, 1]^T, [q m, q m]."""
    nothing = np.zeros_like(problem.w)
    every = dataclasses.replace(problem, l1=nothing, l2=nothing, weak=None)
    if problem.w.shape[1] == 1:
        return normal_equations.of_sigmoid(x, weight * p[0] * p[1], every)
    return normal_equations.of_softmax(x, weight, p, every)


def _means(x: np.ndarray, weight: np.ndarray, p: np.ndarray, outputs: int, bias: bool) -> np.ndarray:
    """sum_i weight (diag p - p p^T) times [x, 1], [m, q, m]; nothing without a bias."""
    if not bias:
        return np.zeros((0, 0, 0))
    if outputs == 1:
        return logits.transposed(x, (weight * p[0] * p[1])[None], bias)[:, :, None]
    by_output = [logits.transposed(x, weight * p[c] * (np.eye(outputs)[c][:, None] - p), bias) for c in range(outputs)]
    return np.stack(by_output).transpose(0, 2, 1)


def _judged(problem: Problem, total: _Sums, scale: np.ndarray, way: _Way) -> Distance:
    """The distance of a problem by its sums over all rows."""
    w, m, p = problem.w, problem.w.shape[1], len(problem.centre)
    gradient = total.gradient.T / total.weight
    if m > 1:  # what is the same in all outputs is rounding
        gradient = gradient - gradient.mean(axis=1, keepdims=True)
    gradient = gradient + problem.l2 * w
    doubt = total.rounding.T / total.weight + 4 * _EPS * (problem.l2 * np.abs(w) + problem.l1)
    if way.is_dense:
        norms = metric.dense(_with_penalty(total.matrix / total.weight, problem), scale, m)
    elif problem.has_bias:
        means = total.matrix / total.weight
        norms = metric.wide(problem.l2[:p], scale[:p], means[:, p], means[:, :p])
    else:
        norms = metric.wide(problem.l2, scale, None, None)
    if norms is None:
        return Distance(problem, reason="the rows hardly determine the coefficients, or not at all")
    hidden = float((doubt * norms.coefficients).sum())
    v = _subgradient(gradient, problem)
    found = Distance(problem, norms, norms.norm(v) + hidden, hidden, _longest(norms, total, problem))
    smooth = way.is_dense and way.every == 1 and not problem.l1.any()
    return dataclasses.replace(found, step=-norms.solve(v)) if smooth else found


def _with_penalty(matrix: np.ndarray, problem: Problem) -> np.ndarray:
    """The Hessian of the smooth part from that of the data, [q m, q m].

    Where a row of a softmax has no penalty, what is the same in all its outputs changes nothing, and the optimum
    is the one with the same sum as w. Curvature is added there.
    """
    q, m = problem.w.shape
    whole = matrix.reshape(q, m, q, m)
    if m > 1:
        at = np.flatnonzero(~problem.with_l2.any(axis=1) & (problem.l1 == 0).all(axis=1))
        whole[at, :, at, :] += (np.einsum("icic->i", whole)[at] / m**2)[:, None, None]
    matrix = whole.reshape(q * m, q * m)
    return matrix + np.diag(problem.l2.ravel())


def _subgradient(gradient: np.ndarray, problem: Problem) -> np.ndarray:
    """The shortest subgradient of F."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - problem.l1, 0)
    return np.where(problem.w == 0, at_zero, gradient + problem.l1 * np.sign(problem.w))


def _apart(problem: Problem) -> int:
    """Logits of two outputs move apart by the sum of their moves."""
    return 1 if problem.w.shape[1] == 1 else 2


def _longest(norms: metric.Dense | metric.Wide, total: _Sums, problem: Problem) -> float:
    """rho, or more, of all rows by their lengths alone."""
    return _apart(problem) * norms.of_length(float(np.sqrt(total.longest)))


def _closer(
    blocks: Callable[[], Iterable[Block]],
    problems: list[Problem],
    found: list[Distance],
    num_rows: int,
    gather: sums.Gather,
) -> list[Distance]:
    """The same with rho itself, from another pass, where it matters and is not too much work."""
    one = problems[0]
    work = num_rows * float(one.w.size) * (len(one.w) if one.w.size <= _MOST_DENSE else 1)
    far = [k for k, d in enumerate(found) if d.norms is not None and d.longest * d.slope > _NEAR]
    if not far or work * len(far) > _MOST_OPERATIONS:
        return found
    longest = np.zeros(len(far))

    def part_of(block: Block) -> np.ndarray:
        mine = []
        for k in far:
            counts = problems[k].weights(block) > 0
            x = _centred(block.x[counts], problems[k])
            mine.append(found[k].norms.rows(x, bias=one.has_bias).max(initial=0.0))
        return np.array(mine)

    for part in machine.in_parallel(part_of, blocks()):
        longest = np.maximum(longest, part)
    longest = gather(longest).max(axis=0)
    for k, rho in zip(far, longest, strict=True):
        found[k] = dataclasses.replace(found[k], longest=min(found[k].longest, _apart(one) * float(rho)))
    return found


def _centred(
    x: np.ndarray | scipy.sparse.csr_array, problem: Problem
) -> np.ndarray | scipy.sparse.csr_array:
    """Raw rows [B, p] as the problem has them; sparse ones are as they are."""
    return x.astype(np.float64) if scipy.sparse.issparse(x) else np.subtract(x, problem.centre, dtype=np.float64)
