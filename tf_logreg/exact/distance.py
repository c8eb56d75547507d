"""How far coefficients and logits are at most from those of the optimum, by slope and curvature at w.

With d = w* - w, v a subgradient of F at w, H' below the Hessian of some rows' log loss and of l2 there, and M
the most that d moves one of those rows' logits apart, as the third derivative is at most M times the second,

    ||d||^2 (1 - exp(-M)) / M <= -v . d <= lambda ||d||,     ||d||^2 = d . H' d,  lambda^2 = v . H'^-1 v.

M is at most rho ||d||, rho the largest norm of such a row, so that ||d|| <= -log(1 - rho lambda) / rho: a
bound on every coefficient and logit that needs no optimum to be found. `docs/certificate.md` derives it.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import scipy.sparse

from tf_logreg import machine
from tf_logreg.exact import logits, metric, normal_equations, sums
from tf_logreg.exact.host import Block, Problem
from tf_logreg.exact.slope import Slope

_EPS = np.finfo(np.float64).eps
_MOST_DENSE = 2000  # coefficients of a problem whose Hessian is summed
_FEW_OPERATIONS = 2e7  # for which it is summed over all rows
_FEWEST, _NUMBERS = 8, 25  # of so many rows one, and of one more for so many coefficients: a tenth of a fit
_ROWS_A_COEFFICIENT = 10
_MOST_MEANS = 2e7  # numbers of the rows' mean curvature beside l2
_NEAR = 0.1  # rho lambda, below which a closer rho would change a bound by less than that
_MOST_OPERATIONS = 2e10  # of a closer one


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


def one_in(problem: Problem, num_rows: int) -> int | str:
    """Of how many rows one is enough for `distances` of a problem over so many; or why there can be none."""
    (q, m), size = problem.w.shape, problem.w.size
    if size > _MOST_DENSE and not (problem.l2[: len(problem.centre)] > 0).all():
        return f"{size:,} coefficients, of which some have no l2, are too many to find their curvature"
    if size > _MOST_DENSE and problem.has_bias and m * m * float(q) > _MOST_MEANS:
        return f"{size:,} coefficients in {m:,} classes are too many to find their curvature"
    if num_rows * float(size) * min(size, _MOST_DENSE) <= _FEW_OPERATIONS:
        return 1
    if size > _MOST_DENSE:
        return _FEWEST + m
    return max(1, min(_FEWEST + size // _NUMBERS, num_rows // (_ROWS_A_COEFFICIENT * size)))


def distances(
    blocks: Callable[[], Iterable[Block]],
    problems: list[Problem],
    slopes: list[Slope],
    scale: np.ndarray,
    num_rows: int,
    gather: sums.Gather = sums.alone,
    *,
    whole: bool,
) -> list[Distance]:
    """How far K problems are from their optima, by their slopes and the curvature of some of their rows.

    Args:
        blocks: gives this worker's part of all rows, or of one in `one_in`, anew each time it is called.
        problems: K of them, at w, with the same penalties.
        slopes: of all rows.
        scale: [p], one over the spread of each column.
        num_rows: that `blocks` gives, of all workers.
        gather: how workers share what they found.
        whole: whether these are all rows.
    """
    view, dense = logits.View(problems), problems[0].w.size <= _MOST_DENSE
    totals = [_Curvature() for _ in problems]

    def part_of(block: Block) -> list[_Curvature]:
        return _part(view.of(block), problems, scale, dense)

    for parts in machine.in_parallel(part_of, blocks()):
        for total, part in zip(totals, parts, strict=True):
            total.matrix, total.longest = total.matrix + part.matrix, max(total.longest, part.longest)
    found = []
    for problem, slope, total in zip(problems, slopes, totals, strict=True):
        (matrix,) = sums.summed(gather, total.matrix)
        longest = float(gather(np.array(total.longest)).max())
        with machine.blas_threads(float(problem.w.size) ** 3 if dense else 0):
            one = _judged(problem, slope, _Curvature(matrix / slope.weight, longest), scale, dense)
        if whole and dense and one.norms is not None and not problem.l1.any():
            one = dataclasses.replace(one, step=-one.norms.solve(slope.gradient))
        found.append(one)
    return _closer(blocks, problems, found, num_rows, gather)


@dataclasses.dataclass
class _Curvature:
    """Of some rows.

    Attributes:
        matrix: [q m, q m], their Hessian; or beside l2 [m, q, m], diag p - p p^T times [x, 1].
        longest: the largest sum_j (x_j scale_j)^2 + 1.
    """

    matrix: np.ndarray | float = 0.0
    longest: float = 0.0


def _part(seen: logits.Seen, problems: list[Problem], scale: np.ndarray, dense: bool) -> list[_Curvature]:
    """Of a block's rows, for each problem."""
    x, bias, found = seen.x, problems[0].has_bias, []
    if scipy.sparse.issparse(x):
        square = x.multiply(x) @ np.square(scale)
    else:
        square = np.einsum("ij,ij,j->i", x, x, np.square(scale))
    for k, problem in enumerate(problems):
        weight = seen.weight[seen.weighting[k]]
        p, error, _ = logits.probabilities(seen.logits[k], seen.labels[seen.labelling[k]])
        matrix = _matrix(x, weight, p, problem) if dense else _means(x, weight, p, len(error), bias)
        found.append(_Curvature(matrix, float(square[weight > 0].max(initial=0.0)) + bias))
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
    own = np.eye(outputs)
    parts = [logits.transposed(x, weight * p[c] * (own[c][:, None] - p), bias) for c in range(outputs)]
    return np.stack(parts).transpose(0, 2, 1)


def _judged(problem: Problem, slope: Slope, total: _Curvature, scale: np.ndarray, dense: bool) -> Distance:
    """The distance of a problem by its slope and its curvature, over all rows' weight."""
    w, p = problem.w, len(problem.centre)
    if dense:
        units = np.append(scale, [1.0] * problem.has_bias)
        norms = metric.dense(_with_penalty(total.matrix, problem), units, w.shape[1])
    elif problem.has_bias:
        norms = metric.wide(problem.l2[:p], scale, total.matrix[:, p], total.matrix[:, :p])
    else:
        norms = metric.wide(problem.l2, scale, None, None)
    if norms is None:
        return Distance(problem, reason="the rows hardly determine the coefficients, or not at all")
    doubt = slope.doubt + 4 * _EPS * (problem.l2 * np.abs(w) + problem.l1)
    hidden = float((doubt * norms.coefficients).sum())
    v = _subgradient(slope.gradient, problem)
    longest = _apart(problem) * norms.of_length(float(np.sqrt(total.longest)))
    return Distance(problem, norms, norms.norm(v) + hidden, hidden, longest)


def _with_penalty(matrix: np.ndarray, problem: Problem) -> np.ndarray:
    """The Hessian of the smooth part from that of the data, [q m, q m].

    Where a row of a softmax has no penalty, what is the same in all its outputs changes nothing, and the
    optimum is the one with the same sum as w. Curvature is added there.
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


def _centred(x: np.ndarray | scipy.sparse.csr_array, problem: Problem) -> np.ndarray | scipy.sparse.csr_array:
    """Raw rows [B, p] as the problem has them; sparse ones are as they are."""
    return (
        x.astype(np.float64) if scipy.sparse.issparse(x) else np.subtract(x, problem.centre, dtype=np.float64)
    )
