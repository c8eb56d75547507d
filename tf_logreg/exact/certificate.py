"""An upper bound on F(w) - F*, from the data as given, in float64 NumPy, whatever found w.

By Fenchel's inequality any dual point bounds F* from below. A dual point is a probability vector pi_i
for each row; with u_i = pi_i - e_{y_i} and a_i = s_i / sum s it is feasible when the gradient it
implies, G = sum_i a_i x_i u_i^T, lies where the penalty's conjugate is finite: zero for columns without
a penalty (the bias), within +-l1 for those with l1 alone, anywhere for those with l2. The gap is then a
sum of terms that are each >= 0, so that nothing cancels:

    F(w) - D(pi) = sum_i a_i KL(pi_i || p_i) + sum_j [R_j(w_j) + R_j^*(-G_j) + w_j G_j]

pi starts as the model's own p and is moved by pi = p - (diag p - p p^T) x delta, where delta solves the
weighted least-squares problem that makes the constrained columns of G what they must be; then G is
scaled into the box of l1. Where the terms of l2 are large, delta goes along its columns too,
to where the bound is least. `docs/certificate.md` derives every step.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tf_logreg.exact import dual, projection, sums
from tf_logreg.exact.host import Block, Problem

_EPS = np.finfo(np.float64).eps
_ROUNDS = 3
_REMEDY = "add some l2, or leave columns out"
_LITTLE = 0.01  # share of the gap that is not worth another pass over the rows
# Coefficients with l2 of a problem, rows times their squares of all, for which tighter bounds take a fraction
# of a second, and numbers of the matrices that each block of rows has.
_MOST_TIGHT, _MOST_OPERATIONS, _MOST_ELEMENTS = 1000, 1e10, 2**21
_MOST_AT_ONCE = 250  # coefficients with l1 alone whose projection takes no longer than a pass or two
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
    blocks: Callable[[], Iterable[Block]],
    problems: list[Problem],
    gather: sums.Gather = sums.alone,
    enough: np.ndarray | None = None,
    final: np.ndarray | None = None,
) -> list[Certificate]:
    """Certifies K problems over the same rows.

    Args:
        blocks: gives this worker's rows, anew each time it is called.
        problems: K of them.
        gather: how workers share what they found.
        enough: [K], gaps below which no more passes are spent on a tighter bound; None for none.
        final: [K] bool, False where steps will follow, which may be cheaper than a tight bound; None for all.
    """
    least = np.zeros(len(problems)) if enough is None else enough
    # Where a projection takes long a box comes first. Near the optimum it is enough, and steps lead there.
    boxed = {k for k, problem in enumerate(problems) if least[k] > 0 and _is_large(problem)}
    first = [dataclasses.replace(one, boxed=one.boxed or k in boxed) for k, one in enumerate(problems)]
    found, totals = _certificates(blocks, first, gather)
    missed = [k for k in boxed if found[k].gap is None or found[k].gap > least[k]]
    if loose := [k for k in missed if final is None or final[k]]:
        for k, *both in zip(loose, *_certificates(blocks, [problems[k] for k in loose], gather), strict=True):
            if both[0].gap is not None and not (found[k].gap or np.inf) <= both[0].gap:
                found[k], totals[k] = both
    far = [k for k, one in enumerate(problems) if k not in boxed and _needs_a_box_alone(one, found[k])]
    if far:
        again = [dataclasses.replace(problems[k], boxed=True) for k in far]
        for k, one in zip(far, _certificates(blocks, again, gather)[0], strict=True):
            found[k] = found[k] if one.gap is None else one
    for group in _groups_to_tighten(problems, totals, found, least):
        again = [dataclasses.replace(problems[k], tight=True) for k in group]
        for k, one in zip(group, _certificates(blocks, again, gather)[0], strict=True):
            if one.gap is not None and one.gap < found[k].gap:
                found[k] = dataclasses.replace(found[k], gap=one.gap, rounding=one.rounding)
    return found


def _is_large(problem: Problem) -> bool:
    """Whether many coefficients with l1 alone have equations."""
    return int((problem.constrained & (problem.l1 > 0)).sum()) > _MOST_AT_ONCE


def _needs_a_box_alone(problem: Problem, found: Certificate) -> bool:
    """Whether equations of coefficients with l1 alone may be why there is no dual point."""
    return found.gap is None and bool((problem.constrained & (problem.l1 > 0)).any())


def _groups_to_tighten(
    problems: list[Problem], totals: list[sums.Sums], found: list[Certificate], enough: np.ndarray
) -> list[list[int]]:
    """Problems whose dual points may move along coefficients with l2, where that is worth its passes.

    Each group's matrices fit in memory side by side, and all together take no more than `_MOST_OPERATIONS`.
    """
    groups, size, left = [[]], 0.0, _MOST_OPERATIONS
    for k, (problem, total) in enumerate(zip(problems, totals, strict=True)):
        one = found[k]
        if one.gap is None or one.gap <= max(enough[k], 2 * one.rounding) or total.obstacle:
            continue
        if not problem.with_l2.any() or problem.constrained[: len(problem.centre)].any():
            continue
        count = int(dataclasses.replace(problem, tight=True).moved.sum())
        if count > _MOST_TIGHT or total.num_rows * count**2 > left:
            continue
        left -= total.num_rows * count**2
        if groups[-1] and size + count**2 > _MOST_ELEMENTS:
            groups.append([])
            size = 0.0
        groups[-1].append(k)
        size += count**2
    return [group for group in groups if group]


def _certificates(
    blocks: Callable[[], Iterable[Block]], problems: list[Problem], gather: sums.Gather
) -> tuple[list[Certificate], list[sums.Sums]]:
    """The certificates of K problems by the coefficients that each moves, and what they began with."""
    totals = sums.first_pass(blocks, problems, gather, project=True)
    found, waiting, sizes = {}, {}, {}
    for k, (problem, total) in enumerate(zip(problems, totals, strict=True)):
        point = dual.moved_by_biases(problem, total)
        if point is not None and _scale(problem, point) == 1:
            found[k] = _judged(problem, total, point)[0]
        elif total.obstacle:
            # Separation needs no dual point to be found.
            free = problem.unpenalised.any()
            reason = f"none: {total.obstacle}"
            found[k] = _failed(problem, total, reason, unclear=bool(free), remedy=_REMEDY)
        else:
            step = projection.correction(total.onto, projection.residual_of(total.gradient, problem), problem)
            if np.isfinite(step).all():
                waiting[k] = step
            else:  # every probability is 0 or 1: no curvature is left
                found[k] = _failed(problem, total, _INFEASIBLE, unclear=True)
    for _ in range(_ROUNDS):
        if not waiting:
            break
        points, waiting = dual.dual_pass(blocks, problems, totals, waiting, gather), {}
        for k, point in points.items():
            found[k], size, step = _judged(problems[k], totals[k], point)
            # Rounding leaves a residual; correct it once more as long as that helps.
            if step is not None and size < 0.1 * sizes.get(k, np.inf):
                sizes[k], waiting[k] = size, point.delta + step
    for k, (problem, total) in enumerate(zip(problems, totals, strict=True)):
        if _narrow(problem, total):
            found[k] = dataclasses.replace(found[k], narrow=True)
    return [found[k] for k in range(len(problems))], totals


def _narrow(problem: Problem, total: sums.Sums) -> bool:
    """Whether the projection leaves open that unpenalised columns depend on each other."""
    if not problem.unpenalised.any():
        return False
    return total.onto is None or projection.is_narrow(total.onto, problem)


def _judged(
    problem: Problem, total: sums.Sums, point: dual.Dual
) -> tuple[Certificate, float, np.ndarray | None]:
    """The certificate of a dual point; how much is left of its equations; the step that would correct them.

    The step is None where there is none, or where it would change little.
    """
    if not point.most < 1:
        return _failed(problem, total, _INFEASIBLE, unclear=True), 0.0, None
    residual = projection.residual_of(point.gradient, problem, point.delta)
    if not projection.solvable(total.onto, residual, problem):
        reason = "none: columns without l2 depend on each other too closely"
        return _failed(problem, total, reason, remedy=_REMEDY), 0.0, None
    step = projection.correction(total.onto, residual, problem)
    if problem.tight:  # where l2 is, the bound needs no equation to hold; without a bias nothing is left
        residual = np.where(problem.constrained, residual, 0)
        size = _size(projection.correction(total.onto, residual, problem), residual)
    else:
        size = _size(step, residual)
    found, left = _bound(problem, total, point, np.abs(problem.w * residual).sum(), size)
    return found, size, step if size > 1e-14 and left > _LITTLE * found.gap else None


def _size(step: np.ndarray, residual: np.ndarray) -> float:
    """Of a dual point's move, in the norm of the Hessian."""
    return float(np.sqrt(max(np.vdot(step, residual), 0.0)))


def _scale(problem: Problem, point: dual.Dual) -> float:
    """What G has to be multiplied by to lie within the box of l1."""
    l1, box = problem.l1, ~problem.with_l2 & (problem.l1 > 0)
    return float(np.min(l1[box] / np.maximum(np.abs(point.gradient[box]), l1[box]), initial=1.0))


def _bound(
    problem: Problem, total: sums.Sums, point: dual.Dual, left: float, size: float
) -> tuple[Certificate, float]:
    """The gap of one feasible dual point, and what of it is due to what is left of the equations.

    Args:
        left: sum of |w| times that. size: of the dual point's move that would correct them, see below.
    """
    w, l1, l2, with_l2 = problem.w, problem.l1, problem.l2, problem.with_l2
    box = ~with_l2 & (l1 > 0)
    scale, divergence, gradient = _scale(problem, point), point.divergence, point.gradient
    if scale < 1:
        # pi -> scale pi + (1 - scale) e_y keeps the simplex and scales G.
        divergence, gradient = max(point.scaled_divergence(scale, total.loss), 0.0), scale * gradient
    with np.errstate(over="ignore"):  # an l2 of next to nothing bounds nothing
        terms = _fenchel_young(w[with_l2], -gradient[with_l2], l1[with_l2], l2[with_l2]).sum()
    # Inside the box the conjugate is zero, with a weak l2 too.
    terms += (l1[box] * np.abs(w[box]) + l2[box] / 2 * np.square(w[box]) + w[box] * gradient[box]).sum()
    objective = total.loss + (l2 / 2 * np.square(w) + l1 * np.abs(w)).sum()
    # What is left of the equations moves the dual point by `size` in the norm of the Hessian, and the
    # bound by no more than this.
    left += size * np.sqrt(2 * (divergence + max(terms, 0.0)) + size**2)
    of_sums = _sums_rounding(problem, total, objective)
    smooth = total.gradient + l2 * w
    gradient_bound = None
    if with_l2.all() and not l1.any():
        gradient_bound = float((np.square(smooth) / (2 * l2)).sum() + of_sums)
    found = Certificate(
        objective=float(objective),
        # No loss is below zero: where pi_i = e_y and G = 0, the bound is the objective itself.
        gap=float(min(divergence + max(terms, 0.0) + left, objective) + of_sums),
        rounding=float(left + of_sums),
        gradient_bound=gradient_bound,
        reason="duality gap",
        gradient=smooth,
        # A probability that loses half of itself is on its way to zero.
        unclear=bool(point.most > 0.5 and problem.constrained[: len(problem.centre)].any()),
    )
    return found, left


def _failed(
    problem: Problem, total: sums.Sums, reason: str, *, unclear: bool = False, remedy: str = ""
) -> Certificate:
    w, l1, l2 = problem.w, problem.l1, problem.l2
    objective = float(total.loss + (l2 / 2 * np.square(w) + l1 * np.abs(w)).sum())
    rounding = float(_sums_rounding(problem, total, objective))
    gap = None
    if objective == 0 or (problem.weak is not None and problem.weak.any()):
        # There is an optimum, and no loss is below zero: a bound of use where the data are separable.
        gap, reason = objective + rounding, "the objective itself: F* is at least zero"
    return Certificate(objective, gap, rounding, None, reason, total.gradient + l2 * w, unclear, remedy)


def _sums_rounding(problem: Problem, total: sums.Sums, objective: float) -> float:
    """Sums are good to a few units of the last digit of F, logits to one of that of sum_j |x_j w_j|."""
    return _EPS * (16 * objective + total.magnitude @ np.abs(problem.w).max(axis=1))


def _fenchel_young(w: np.ndarray, h: np.ndarray, l1: np.ndarray, l2: np.ndarray) -> np.ndarray:
    """R(w) + R^*(h) - w h >= 0 of R = l2 w^2 / 2 + l1 |w|, R^* = max(|h| - l1, 0)^2 / (2 l2)."""
    best = np.sign(h) * np.maximum(np.abs(h) - l1, 0) / l2  # where w would be at the optimum
    same = (np.sign(best) == np.sign(w)) & (w != 0)
    apart = l2 / 2 * (np.square(w) + np.square(best)) + l1 * np.abs(w) - w * h
    return np.where(same, l2 / 2 * np.square(w - best), apart)
