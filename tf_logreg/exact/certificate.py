"""An upper bound on F(w) - F*, from the data as given, in float64 NumPy, whatever found w.

By Fenchel's inequality any dual point bounds F* from below. A dual point is a probability vector pi_i
for each row; with u_i = pi_i - e_{y_i} and a_i = s_i / sum s it is feasible when the gradient it
implies, G = sum_i a_i x_i u_i^T, lies where the penalty's conjugate is finite: zero for columns without
a penalty (the bias), within +-l1 for those with l1 alone, anywhere for those with l2. The gap is then a
sum of terms that are each >= 0, so that nothing cancels:

    F(w) - D(pi) = sum_i a_i KL(pi_i || p_i) + sum_j [R_j(w_j) + R_j^*(-G_j) + w_j G_j]

pi starts as the model's own p and is moved by pi = p - (diag p - p p^T) x delta, where delta solves the
weighted least-squares problem that makes the constrained columns of G what they must be; then G is
scaled into the box of l1. `docs/certificate.md` derives every step.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tf_logreg.exact import host, logits, projection, sums
from tf_logreg.exact.host import Block, Problem

_EPS = np.finfo(np.float64).eps
_ROUNDS = 3
_REMEDY = "add some l2, or leave columns out"
_NARROW = 1e-3  # of singular values or pivots, from where on the columns themselves are looked at
_INFEASIBLE = "none: no dual point is feasible this far from the optimum"


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What is known about one problem.

    Attributes:
        objective: F(w), nats.
        gap: upper bound on F(w) - F*, rounding included; None where `reason` says why there is none.
        rounding: the part of it that stands for float64's own errors; of the objective alone without a gap.
        gradient_bound: ||gradient||^2 / (2 l2), another upper bound, where everything is penalised
            by l2 alone; else None.
        reason: which bound, or why none.
        gradient: [q, m] of the smooth part of F at w.
        unclear: no dual point is strictly feasible, or none was looked for, as when the data are separable.
        remedy: what gives a bound where passes over the rows alone never will; else ''.
        narrow: columns without a penalty may depend on each other.
    """

    objective: float
    gap: float | None
    rounding: float
    gradient_bound: float | None
    reason: str
    gradient: np.ndarray
    unclear: bool = False
    remedy: str = ""
    narrow: bool = False


def certify(
    blocks: Callable[[], Iterable[Block]], problems: list[Problem], gather: sums.Gather = sums.alone
) -> list[Certificate]:
    """Certifies K problems over the same rows.

    Args:
        blocks: gives this worker's rows, anew each time it is called.
        problems: K of them.
        gather: how workers share what they found.
    """
    totals = sums.first_pass(blocks, problems, gather, project=True)
    found, waiting = {}, {}
    for k, (problem, total) in enumerate(zip(problems, totals, strict=True)):
        if total.bias_move is not None and (dual := _moved_by_bias(total)) is not None:
            residual = projection.residual_of(dual.gradient, problem)
            size = abs(residual[-1, 0]) / np.sqrt(total.bias_move[-1])
            found[k] = _bound(blocks, problem, total, dual.delta, dual, residual, size, gather)
            continue
        if total.obstacle:
            # Separation needs no dual point to be found.
            free = ((problem.l1 == 0) & (problem.l2 == 0))[: len(problem.centre)].any()
            found[k] = dataclasses.replace(
                _failed(problem, total, f"none: {total.obstacle}", unclear=bool(free)), remedy=_REMEDY
            )
        else:
            step = projection.correction(total.onto, projection.residual_of(total.gradient, problem), problem)
            if np.isfinite(step).all():
                waiting[k] = step
            else:  # every probability is 0 or 1: no curvature is left
                found[k] = _failed(problem, total, _INFEASIBLE, unclear=True)
    residuals = {}
    for _ in range(_ROUNDS):
        if not waiting:
            break
        duals = _dual_pass(blocks, problems, totals, waiting, gather)
        again = {}
        for k, dual in duals.items():
            problem, total = problems[k], totals[k]
            if not dual.most < 1:
                found[k] = _failed(problem, total, _INFEASIBLE, unclear=True)
                continue
            residual = projection.residual_of(dual.gradient, problem)
            if not projection.solvable(total.onto, residual, problem):
                reason = "none: columns without l2 depend on each other too closely"
                found[k] = dataclasses.replace(_failed(problem, total, reason), remedy=_REMEDY)
                continue
            step = projection.correction(total.onto, residual, problem)
            size = np.sqrt(max(np.vdot(step, residual), 0.0))
            # Rounding leaves a residual; correct it once more as long as that helps.
            if size > 1e-14 and size < 0.1 * residuals.get(k, np.inf):
                residuals[k] = size
                again[k] = waiting[k] + step
            found[k] = _bound(blocks, problem, total, waiting[k], dual, residual, size, gather)
        waiting = again
    return [
        dataclasses.replace(found[k], narrow=_narrow(problem, total))
        for k, (problem, total) in enumerate(zip(problems, totals, strict=True))
    ]


def _narrow(problem: Problem, total: sums.Sums) -> bool:
    """Whether the projection leaves open that unpenalised columns depend on each other."""
    if not ((problem.l1 == 0) & (problem.l2 == 0))[: len(problem.centre)].any():
        return False
    if total.onto is None:
        return True
    # A softmax has one direction a row that changes nothing, whatever the columns.
    spare = int(problem.constrained.all(axis=1).sum()) if problem.w.shape[1] > 1 else 0
    return len(total.onto.null) > spare or total.onto.least < _NARROW


@dataclasses.dataclass
class _Dual:
    """Sums of a dual point: KL(pi || p), G [q, m], and the largest relative move of a probability."""

    divergence: float = 0.0
    gradient: np.ndarray | float = 0.0
    most: float = 0.0
    delta: np.ndarray | None = None


def _moved_by_bias(total: sums.Sums) -> _Dual | None:
    """The dual point that a sigmoid's bias makes feasible; None where the dual pass must say.

    With one delta for all rows, pi = p (1 - t) has t = delta (1 - p) for class 1 and -delta p for class 0, so
    sum p t^2 = delta^2 p (1 - p), |t| <= |delta|; and (1 - t) log(1 - t) + t <= t^2 / (2 (1 - |t|)).
    """
    move = total.bias_move
    delta = total.gradient[-1, 0] / move[-1] if move[-1] > 0 else np.inf
    if not abs(delta) < 0.1:
        return None
    divergence = np.square(delta) * move[-1] / (2 * (1 - abs(delta)))
    whole = np.zeros_like(total.gradient)
    whole[-1] = delta
    return _Dual(float(divergence), total.gradient - delta * move[:, None], float(abs(delta)), whole)


def _dual_pass(
    blocks, problems, totals, delta: dict[int, np.ndarray], gather: sums.Gather
) -> dict[int, _Dual]:
    """The dual points pi = p (1 - t), t = v - p.v, v = x delta, of some problems."""
    duals = {k: _Dual(gradient=np.zeros(problems[k].w.shape)) for k in delta}
    view = logits.View([problems[k] for k in delta])
    moves = view.kernels(list(delta.values()))

    def part_of(block: Block) -> list[tuple]:
        seen, most, divergence = view.of(block), [], []
        v = view.products(moves, seen.x, "moves")
        moved = host.scratch("errors", *v.shape)
        for i, k in enumerate(delta):
            p, error, _ = logits.probabilities(seen.logits[i], seen.labels[seen.labelling[i]])
            t = _relative_move(v[i], p)
            share = seen.weight[seen.weighting[i]] / totals[k].weight
            np.multiply(share, error - (p * t)[-len(error) :], out=moved[i])
            most.append(np.where(share > 0, t.max(axis=0), 0.0).max(initial=0.0))
            divergence.append(share @ (p * _entropy_term(t)).sum(axis=0))
        gradients = logits.transposed(seen.x, moved, problems[0].has_bias)
        return list(zip(delta, most, divergence, gradients, strict=True))

    for found in host.in_parallel(part_of, blocks()):
        for k, most, divergence, gradient in found:
            duals[k].most = np.maximum(duals[k].most, most)  # NaN stays, as `max` would not have it
            duals[k].divergence += divergence
            duals[k].gradient += gradient
    for dual in duals.values():
        dual.divergence, dual.gradient = sums.summed(gather, dual.divergence, dual.gradient)
        dual.most = gather(np.array(dual.most)).max()
    return duals


def _bound(blocks, problem, total, delta, dual, residual, size, gather) -> Certificate:
    """The gap of one feasible dual point."""
    w, l1, l2 = problem.w, problem.l1, problem.l2
    with_l2 = problem.with_l2
    box = ~with_l2 & (l1 > 0)
    scale = float(np.min(l1[box] / np.maximum(np.abs(dual.gradient[box]), l1[box]), initial=1.0))
    divergence, gradient = dual.divergence, dual.gradient
    if scale < 1:
        # pi -> scale pi + (1 - scale) e_y keeps the simplex and scales G.
        divergence = max(_scaled_divergence(blocks, problem, total, delta, scale, gather), 0.0)
        gradient = scale * gradient
    with np.errstate(over="ignore"):  # an l2 of next to nothing bounds nothing
        terms = _fenchel_young(w[with_l2], -gradient[with_l2], l1[with_l2], l2[with_l2]).sum()
    # Inside the box the conjugate is zero, with a weak l2 too.
    terms += (l1[box] * np.abs(w[box]) + l2[box] / 2 * np.square(w[box]) + w[box] * gradient[box]).sum()
    objective = total.loss + (l2 / 2 * np.square(w) + l1 * np.abs(w)).sum()
    # What is left of the equations moves the dual point by `size` in the norm of the Hessian, and the
    # bound by no more than this.
    rounding = np.abs(w * residual).sum() + size * np.sqrt(2 * divergence + size**2)
    rounding += _sums_rounding(problem, total, objective)
    smooth = total.gradient + l2 * w
    gradient_bound = None
    if with_l2.all() and not l1.any():
        gradient_bound = float(
            (np.square(smooth) / (2 * l2)).sum() + _sums_rounding(problem, total, objective)
        )
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


def _failed(problem: Problem, total: sums.Sums, reason: str, *, unclear: bool = False) -> Certificate:
    w, l1, l2 = problem.w, problem.l1, problem.l2
    objective = float(total.loss + (l2 / 2 * np.square(w) + l1 * np.abs(w)).sum())
    rounding = float(_sums_rounding(problem, total, objective))
    gap = None
    if problem.weak is not None and problem.weak.any():
        # There is an optimum, and no loss is below zero: a bound of use where the data are separable.
        gap, reason = objective + rounding, "the objective itself: F* is at least zero"
    return Certificate(objective, gap, rounding, None, reason, total.gradient + l2 * w, unclear)


def _sums_rounding(problem: Problem, total: sums.Sums, objective: float) -> float:
    """Sums are good to a few units of the last digit of F, logits to one of that of sum_j |x_j w_j|."""
    return _EPS * (16 * objective + total.magnitude @ np.abs(problem.w).max(axis=1))


def _relative_move(v: np.ndarray, p: np.ndarray) -> np.ndarray:
    """T [C, B] of pi = p (1 - t): v - p.v with v = x delta [m, B] (and 0 for class 0 of a sigmoid)."""
    if len(v) == 1:
        return np.stack([-p[1] * v[0], p[0] * v[0]])
    return v - (p * v).sum(axis=0)


def _entropy_term(t: np.ndarray) -> np.ndarray:
    """(1 - t) log(1 - t) + t >= 0: with weights p it sums to KL(p (1 - t) || p), as sum p t = 0."""
    t = np.minimum(t, 1)
    small = np.abs(t) < 1e-4
    s = np.where(small, t, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (1 - t) * np.log1p(-t) + t
    # The series where the difference cancels.
    return np.where(small, s * s * (0.5 + s * (1 / 6 + s / 12)), np.where(t == 1, 1.0, value))


def _scaled_divergence(
    blocks, problem: Problem, total: sums.Sums, delta: np.ndarray, scale: float, gather: sums.Gather
) -> float:
    """Sum a_i KL(scale pi_i + (1 - scale) e_y || p_i)."""
    view = logits.View([problem])
    moves = view.kernels([delta])

    def part_of(block: Block) -> float:
        x, (y,), _, (weight,), _, (z,) = view.of(block)
        (v,) = view.products(moves, x, "moves")
        counts = weight > 0  # the others may have left the simplex
        y, weight, z, v = y[counts], weight[counts], z[:, counts], v[:, counts]
        p, _, loss = logits.probabilities(z, y)
        rows = np.arange(len(y))
        pi = scale * p * (1 - _relative_move(v, p))
        pi[y, rows] += 1 - scale
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(pi > 0, np.log(pi) - np.log(p), 0)
        # p_y may underflow where its logarithm does not.
        ratio[y, rows] = np.log(pi[y, rows]) + loss
        return weight / total.weight @ (pi * ratio).sum(axis=0)

    return sums.summed(gather, sum(host.in_parallel(part_of, blocks())))[0]


def _fenchel_young(w: np.ndarray, h: np.ndarray, l1: np.ndarray, l2: np.ndarray) -> np.ndarray:
    """R(w) + R^*(h) - w h >= 0 of R = l2 w^2 / 2 + l1 |w|, R^* = max(|h| - l1, 0)^2 / (2 l2)."""
    best = np.sign(h) * np.maximum(np.abs(h) - l1, 0) / l2  # where w would be at the optimum
    same = (np.sign(best) == np.sign(w)) & (w != 0)
    apart = l2 / 2 * (np.square(w) + np.square(best)) + l1 * np.abs(w) - w * h
    return np.where(same, l2 / 2 * np.square(w - best), apart)
