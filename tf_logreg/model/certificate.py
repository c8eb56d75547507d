"""An upper bound on F(w) - F*, from the data as given, in float64 NumPy, whatever found w.

By Fenchel's inequality any dual point bounds F* from below. A dual point is a probability vector pi_i
for each row; with u_i = pi_i - e_{y_i} and a_i = s_i / sum s it is feasible when the gradient it
implies, G = sum_i a_i x_i u_i^T, lies where the penalty's conjugate is finite: zero for columns without
a penalty (the bias), within +-l1 for those with l1 alone, anywhere for those with l2. The gap is then a
sum of terms that are each >= 0, so that nothing cancels:

    F(w) - D(pi) = sum_i a_i KL(pi_i || p_i) + sum_j [R_j(w_j) + R_j^*(-G_j) + w_j G_j]

pi starts as the model's own p and is moved by pi = p - (diag p - p p^T) x delta, where delta solves the
weighted least-squares problem that makes the constrained columns of G what they must be (QR); then
G is scaled into the box of l1. `docs/certificate.md` derives every step.
"""

import collections
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg
import threadpoolctl

_EPS = np.finfo(np.float64).eps
_MOST_PROJECTED = 2000  # columns that the projection may fix
_MOST_OPERATIONS = 2e12  # of its QR
_DESIGN_ELEMENTS = 2**21  # floats of its design in memory at a time
_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Block:
    """B rows as given: x [B, p], y [B], weight [B] > 0, offset [B, m or 1], fold [B]."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    fold: np.ndarray


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is to be certified.

    Attributes:
        w: [q, m] the kernel's p rows, and the bias where the model has one (q = p + 1, else q = p).
            Columns of x enter as x - centre.
        centre: [p]; zero without a bias.
        l1, l2: [q, m], 0 for the bias.
        class_weight: [C]. held_out: the fold whose rows do not count, -1 for none.
    """

    w: np.ndarray
    centre: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    class_weight: np.ndarray
    held_out: int = -1

    @property
    def constrained(self) -> np.ndarray:
        """[q, m] bool: coefficients whose column of G is fixed by an equation.

        They are those without a penalty, and those of l1 alone that are not zero: at the optimum
        their gradient is -l1 sign(w), and a dual point that says so is the tightest.
        """
        return (self.l2 == 0) & ((self.l1 == 0) | (self.w != 0))


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What is known about one problem.

    Attributes:
        objective: F(w), nats.
        gap: upper bound on F(w) - F*, rounding included; None where `reason` says why there is none.
        rounding: the part of it that stands for float64's own errors.
        gradient_bound: ||gradient||^2 / (2 l2), another upper bound, where everything is penalised
            by l2 alone; else None.
        reason: which bound, or why none.
        gradient: [q, m] of the smooth part of F at w.
        unclear: no dual point is strictly feasible, as when the data are separable.
    """

    objective: float
    gap: float | None
    rounding: float
    gradient_bound: float | None
    reason: str
    gradient: np.ndarray
    unclear: bool = False


def certify(blocks: Callable[[], Iterable[Block]], problems: list[Problem]) -> list[Certificate]:
    """Certifies K problems over the same rows.

    Args:
        blocks: gives all rows, anew each time it is called.
        problems: K of them.
    """
    sums = first_pass(blocks, problems, factor=True)
    found, waiting = {}, {}
    for k, (problem, total) in enumerate(zip(problems, sums, strict=True)):
        if total.factor is None and problem.constrained.any():
            count = int(problem.constrained.sum())
            reason = f"none: {count:,} unpenalised or active coefficients are too many to project on"
            found[k] = _failed(problem, total, reason)
        else:
            waiting[k] = _correction(total, _residual(total.gradient, problem), problem)
    residuals = {}
    for _ in range(_ROUNDS):
        if not waiting:
            break
        duals = _dual_pass(blocks, problems, sums, waiting)
        again = {}
        for k, dual in duals.items():
            problem, total = problems[k], sums[k]
            if not dual.most < 1:
                reason = "none: no dual point is feasible this far from the optimum"
                found[k] = _failed(problem, total, reason, unclear=True)
                continue
            residual = _residual(dual.gradient, problem)
            step = _correction(total, residual, problem)
            size = np.sqrt(max(np.vdot(step, residual), 0.0))
            # Rounding leaves a residual; correct it once more as long as that helps.
            if size > 1e-14 and size < 0.1 * residuals.get(k, np.inf):
                residuals[k] = size
                again[k] = waiting[k] + step
            found[k] = _bound(blocks, problem, total, waiting[k], dual, residual, size)
        waiting = again
    return [found[k] for k in range(len(problems))]


@dataclasses.dataclass
class Sums:
    """One problem's sums: of weights, of weighted losses over that, and the latter's gradient [q, m].

    factor: R of the QR of the constrained columns' weighted design, or None.
    """

    weight: float = 0.0
    loss: float = 0.0
    gradient: np.ndarray | float = 0.0
    factor: np.ndarray | None = None


def first_pass(
    blocks: Callable[[], Iterable[Block]], problems: list[Problem], *, factor: bool = False
) -> list[Sums]:
    """Value and gradient of the data term in float64, and the factor that the projection needs."""
    sums, num_rows = [Sums() for _ in problems], 0

    def part_of(block: Block) -> list[tuple]:
        found = []
        for k, x, y, weight, z in _rows_by_problem(block, problems):
            p, error, loss = _probabilities(z, y)
            gradient = _transposed(x, weight * error, problems[k])
            design = _design(x, weight, p, problems[k]) if factor else None
            found.append((k, weight.sum(), weight @ loss, gradient, design))
        return len(block.y), found

    for count, found in _in_parallel(part_of, blocks()):
        num_rows += count
        for k, weight, loss, gradient, design in found:
            total = sums[k]
            total.weight += weight
            total.loss += loss
            total.gradient = total.gradient + gradient
            if design is not None and _can_project(problems[k], num_rows):
                stacked = design if total.factor is None else np.vstack([total.factor, design])
                total.factor = _triangle(stacked)
            else:
                total.factor = None
    for total in sums:
        total.loss, total.gradient = total.loss / total.weight, total.gradient / total.weight
        if total.factor is not None:
            total.factor = total.factor / np.sqrt(total.weight)
    return sums


@dataclasses.dataclass
class _Dual:
    """Sums of a dual point: KL(pi || p), G [q, m], and the largest relative move of a probability."""

    divergence: float = 0.0
    gradient: np.ndarray | float = 0.0
    most: float = 0.0


def _dual_pass(blocks, problems, sums, delta: dict[int, np.ndarray]) -> dict[int, _Dual]:
    """The dual points pi = p (1 - t), t = v - p.v, v = x delta, of some problems."""
    duals = {k: _Dual() for k in delta}

    def part_of(block: Block) -> list[tuple]:
        found = []
        for k, x, y, weight, z in _rows_by_problem(block, problems, only=delta):
            p, error, _ = _probabilities(z, y)
            t = _relative_move(x, p, delta[k], problems[k])
            share = weight / sums[k].weight
            move = (p * t)[-len(error) :]
            gradient = _transposed(x, share * (error - move), problems[k])
            divergence = share @ (p * _entropy_term(t)).sum(axis=0)
            found.append((k, float(t.max(initial=0.0)), divergence, gradient))
        return found

    for found in _in_parallel(part_of, blocks()):
        for k, most, divergence, gradient in found:
            duals[k].most = max(duals[k].most, most)
            duals[k].divergence += divergence
            duals[k].gradient = duals[k].gradient + gradient
    return duals


def _in_parallel(function: Callable, blocks: Iterable[Block]) -> Iterator:
    """function(block) of each block, in order; a core a block, since blocks are small and NumPy lets go."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with threadpoolctl.threadpool_limits(1), ThreadPoolExecutor(cores) as pool:
        waiting = collections.deque()
        for block in blocks:
            waiting.append(pool.submit(function, block))
            # No further ahead than keeps the cores busy: a stream is not read into memory.
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _bound(blocks, problem, total, delta, dual, residual, size) -> Certificate:
    """The gap of one feasible dual point."""
    w, l1, l2 = problem.w, problem.l1, problem.l2
    box = (l2 == 0) & (l1 > 0)
    scale = float(np.min(l1[box] / np.maximum(np.abs(dual.gradient[box]), l1[box]), initial=1.0))
    divergence, gradient = dual.divergence, dual.gradient
    if scale < 1:
        # pi -> scale pi + (1 - scale) e_y keeps the simplex and scales G.
        divergence = max(_scaled_divergence(blocks, problem, total, delta, scale), 0.0)
        gradient = scale * gradient
    with_l2 = l2 > 0
    terms = _fenchel_young(w[with_l2], -gradient[with_l2], l1[with_l2], l2[with_l2]).sum()
    terms += (l1[box] * np.abs(w[box]) + w[box] * gradient[box]).sum()
    objective = total.loss + (l2 / 2 * np.square(w) + l1 * np.abs(w)).sum()
    # What is left of the equations moves the dual point by `size` in the norm of the Hessian, and the
    # bound by no more than this; sums of float64 numbers are good to a few units of their last digit.
    rounding = np.abs(w * residual).sum() + size * np.sqrt(2 * divergence + size**2) + 16 * _EPS * objective
    smooth = total.gradient + l2 * w
    gradient_bound = None
    if with_l2.all() and not l1.any():
        gradient_bound = float((np.square(smooth) / (2 * l2)).sum() + 16 * _EPS * objective)
    return Certificate(
        objective=float(objective),
        gap=float(divergence + max(terms, 0.0) + rounding),
        rounding=float(rounding),
        gradient_bound=gradient_bound,
        reason="duality gap",
        gradient=smooth,
        # A probability that loses half of itself is on its way to zero.
        unclear=bool(dual.most > 0.5 and (problem.constrained[: len(problem.centre)]).any()),
    )


def _failed(problem: Problem, total: Sums, reason: str, *, unclear: bool = False) -> Certificate:
    w, l1, l2 = problem.w, problem.l1, problem.l2
    objective = float(total.loss + (l2 / 2 * np.square(w) + l1 * np.abs(w)).sum())
    return Certificate(objective, None, 0.0, None, reason, total.gradient + l2 * w, unclear)


def _rows_by_problem(block: Block, problems: list[Problem], only=None):
    """(k, x [B, p] centred float64, y, weights, logits [m, B]) of each problem's own rows of a block.

    Classes come first: sums over them then run along rows, which is how NumPy is fast.
    """
    which = range(len(problems)) if only is None else sorted(only)
    centre = problems[0].centre
    x = (
        np.subtract(block.x, centre, dtype=np.float64)
        if centre.any()
        else block.x.astype(np.float64, copy=False)
    )
    p = x.shape[1]
    kernels = np.hstack([problems[k].w[:p] for k in which])
    z = (kernels.T @ x.T).reshape(len(which), -1, len(x))
    for place, k in enumerate(which):
        problem = problems[k]
        weight = block.weight * problem.class_weight[block.y]
        logits = z[place] + block.offset.T
        if len(problem.w) > p:
            logits += problem.w[p][:, None]
        use = (weight > 0) & (block.fold != problem.held_out)
        if use.all():
            yield k, x, block.y, weight, logits
        else:
            yield k, x[use], block.y[use], weight[use], logits[:, use]


def _probabilities(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of all classes [C, B], p - e_y of the outputs [m, B], and the loss [B]."""
    if len(z) == 1:
        sign = 1.0 - 2.0 * y
        t = sign * z[0]  # the logit of the other class
        small = np.exp(-np.abs(t))
        other = np.where(t > 0, 1.0, small) / (1 + small)
        own = np.where(t > 0, small, 1.0) / (1 + small)
        p = np.where(y == 1, [other, own], [own, other])
        return p, (sign * other)[None], np.maximum(t, 0) + np.log1p(small)
    rows = np.arange(len(y))
    shifted = z - z.max(axis=0)
    p = np.exp(shifted)
    total = p.sum(axis=0)
    loss = np.log(total) - shifted[y, rows]
    p /= total
    error = p.copy()
    # p_y - 1 from the other probabilities: it keeps its digits when p_y rounds to 1, where
    # log(total) has lost them too.
    error[y, rows] = 0
    error[y, rows] = -error.sum(axis=0)
    sure = error[y, rows] > -1e-3
    loss[sure] = -np.log1p(error[y[sure], rows[sure]])
    return p, error, loss


def _transposed(x: np.ndarray, r: np.ndarray, problem: Problem) -> np.ndarray:
    """[X, 1]^T R of r [m, B]: [q, m]."""
    product = (r @ x).T
    return np.vstack([product, r.sum(axis=1)]) if len(problem.w) > x.shape[1] else product


def _relative_move(x: np.ndarray, p: np.ndarray, delta: np.ndarray, problem: Problem) -> np.ndarray:
    """T [C, B] of pi = p (1 - t): v - p.v with v = x delta (and 0 for class 0 of a sigmoid)."""
    columns = x.shape[1]
    v = np.zeros((delta.shape[1], len(x)))
    if delta[:columns].any():
        v = delta[:columns].T @ x.T
    if len(delta) > columns:
        v = v + delta[columns][:, None]
    if len(v) == 1:
        return np.stack([-p[1] * v[0], p[0] * v[0]])
    return v - (p * v).sum(axis=0)


def _entropy_term(t: np.ndarray) -> np.ndarray:
    """(1 - t) log(1 - t) + t >= 0: with weights p it sums to KL(p (1 - t) || p), as sum p t = 0."""
    t = np.minimum(t, 1)
    small = np.abs(t) < 1e-4
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (1 - t) * np.log1p(-t) + t
    # The series where the difference cancels.
    return np.where(small, t * t * (0.5 + t * (1 / 6 + t / 12)), np.where(t == 1, 1.0, value))


def _scaled_divergence(blocks, problem: Problem, total: Sums, delta: np.ndarray, scale: float) -> float:
    """Sum a_i KL(scale pi_i + (1 - scale) e_y || p_i)."""

    def part_of(block: Block) -> float:
        value = 0.0
        for _, x, y, weight, z in _rows_by_problem(block, [problem]):
            p, _, loss = _probabilities(z, y)
            rows = np.arange(len(y))
            pi = scale * p * (1 - _relative_move(x, p, delta, problem))
            pi[y, rows] += 1 - scale
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(pi > 0, np.log(pi) - np.log(p), 0)
            # p_y may underflow where its logarithm does not.
            ratio[y, rows] = np.log(pi[y, rows]) + loss
            value += weight / total.weight @ (pi * ratio).sum(axis=0)
        return value

    return sum(_in_parallel(part_of, blocks()))


def _fenchel_young(w: np.ndarray, h: np.ndarray, l1: np.ndarray, l2: np.ndarray) -> np.ndarray:
    """R(w) + R^*(h) - w h >= 0 of R = l2 w^2 / 2 + l1 |w|, R^* = max(|h| - l1, 0)^2 / (2 l2)."""
    best = np.sign(h) * np.maximum(np.abs(h) - l1, 0) / l2  # where w would be at the optimum
    same = (np.sign(best) == np.sign(w)) & (w != 0)
    apart = l2 / 2 * (np.square(w) + np.square(best)) + l1 * np.abs(w) - w * h
    return np.where(same, l2 / 2 * np.square(w - best), apart)


def _can_project(problem: Problem, num_rows: int) -> bool:
    count = int(problem.constrained.sum())
    outputs = problem.w.shape[1]
    return 0 < count <= _MOST_PROJECTED and num_rows * outputs * count**2 <= _MOST_OPERATIONS


def _design(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray | None:
    """A triangle R with R^T R = D^T D, D = sqrt(weight) (diag p - p p^T)^(1/2) [x, 1] of a block's rows.

    Constrained columns only. diag p - p p^T = B^T B with B = diag(sqrt p) (I - 1 p^T); the sigmoid's
    is sqrt(p (1 - p)).
    """
    mask = problem.constrained
    if not mask.any() or int(mask.sum()) > _MOST_PROJECTED:
        return None
    features, outputs = np.flatnonzero(mask.any(axis=1)), mask.shape[1]
    triangle = None
    block = max(1, _DESIGN_ELEMENTS // (features.size * outputs**2))
    for start in range(0, len(x), block):
        part = slice(start, start + block)
        columns = np.ones((len(weight[part]), features.size))
        inside = features < x.shape[1]
        columns[:, inside] = x[part][:, features[inside]]
        columns *= np.sqrt(weight[part])[:, None]
        if outputs == 1:
            design = columns * np.sqrt(p[0, part] * p[1, part])[:, None]
        else:
            chances = p[:, part].T
            half = np.sqrt(chances)[:, :, None] * (np.eye(outputs) - chances[:, None, :])
            design = half[:, :, None, :] * columns[:, None, :, None]
            design = design.reshape(-1, features.size * outputs)[:, mask[features].ravel()]
        triangle = _triangle(design if triangle is None else np.vstack([triangle, design]))
    return triangle


def _triangle(rows: np.ndarray) -> np.ndarray:
    """R of the QR decomposition, with no more rows than columns."""
    found = scipy.linalg.qr(rows, mode="r", overwrite_a=True, check_finite=False)[0]
    return found[: found.shape[1]]


def _residual(gradient: np.ndarray, problem: Problem) -> np.ndarray:
    """How far the constrained columns of G are from what they must be, [q, m]."""
    return np.where(problem.constrained, gradient + problem.l1 * np.sign(problem.w), 0)


def _correction(total: Sums, residual: np.ndarray, problem: Problem) -> np.ndarray:
    """Delta [q, m] with (R^T R) step = residual in the constrained coordinates, 0 elsewhere.

    By the singular values of R with unit columns; directions that rounding alone tells from zero
    (all biases of a softmax together, duplicate columns) are left out.
    """
    delta, mask = np.zeros_like(problem.w), problem.constrained
    if total.factor is None or not mask.any():
        return delta
    norm = np.linalg.norm(total.factor, axis=0)
    norm[norm == 0] = 1
    _, singular, vt = np.linalg.svd(total.factor / norm, full_matrices=False)
    keep = singular > singular.max(initial=0.0) * 1e-13 * max(total.factor.shape)
    inner = (vt @ (residual[mask] / norm))[keep] / np.square(singular[keep])
    delta[mask] = vt[keep].T @ inner / norm
    return delta
