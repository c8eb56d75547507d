"""The start of a fit of small problems: bare Newton steps to where rounding stops them.

Their arithmetic takes microseconds. What a fit has around a step, for rows that take seconds to read, takes
most of a millisecond: blocks, threads, checkpoints between passes, searches for many problems at once. None
of it is needed here. The loop certifies what these steps found, and goes on from there if it has to.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from tf_logreg.exact import logits
from tf_logreg.fit.full_batch import polish, requests
from tf_logreg.fit.full_batch.goal import Goal, Start
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.monitor import Monitor
from tf_logreg.objective import host_sums
from tf_logreg.solvers import core, linear_system
from tf_logreg.solvers.methods import proximal_newton

_MOST_STEPS, _SHORTEST = 30, 2.0**-50  # of a step, of its length
_DECREASE = 1e-4  # of what the slope promises, which a step must keep (Armijo)


def start(problems: Penalized, w: np.ndarray, goal: Goal, monitor: Monitor) -> Start | None:
    """Takes K problems from w [K, P] to their optimum; None where they are not small.

    A problem takes a fraction of a second.

    Args:
        problems: K of them, with l2 or l1 on every coefficient of a kernel; their passes are counted.
        goal: says whether to go on to the last digits, and in how many steps and passes at most.
        monitor: when it is late or interrupted, the problems that are left stay where they are.
    """
    if not (goal.last_digits and _are_small(problems)):
        return None
    solved_by = _with_l1 if problems.l1.any() else _without_l1
    found, longest = Start(w.copy(), np.full(len(w), np.inf), np.zeros(len(w), int)), []
    value, gradient = np.zeros(len(w)), np.zeros_like(w)
    for k in range(len(w)):
        if k and (monitor.interrupted() or monitor.late()):
            return dataclasses.replace(found, history=longest)
        end = solved_by(_Problem(problems, k), w[k], goal)
        found.w[k], found.gap[k], found.steps[k] = end.point.w, end.gap, end.steps
        value[k], gradient[k] = end.point.value, end.point.gradient
        longest = max(longest, end.history, key=len)
    return dataclasses.replace(found, history=longest, value_and_gradient=(value, gradient))


def _are_small(problems: Penalized) -> bool:
    """Whether all rows are in memory in float64, and a Hessian of all coefficients is quick to make."""
    if not problems.engine.exact or problems.engine.held is None or problems.in_sets:
        return False
    return problems.explicit(problems.size) and not requests.hessian_passes(problems)


class _Point(NamedTuple):
    """Where a problem is between two steps; all of a pass over its rows."""

    w: np.ndarray  # [P]
    value: float  # F, nats
    gradient: np.ndarray  # [P]
    curvature: np.ndarray  # [m, B], as of `host_sums.of_curvature`


class _Problem:
    """Problem k over all rows at once: F, its gradient and its Hessian, from one look at the logits."""

    def __init__(self, problems: Penalized, k: int):
        self.given, self.k, self.which = problems, k, np.array([k])
        record, rows = problems.record(self.which), problems.engine.held.rows
        weight = host_sums.row_weights(record, rows)
        self._x = np.concatenate([rows.x, np.ones((len(rows.y), 1))], axis=1) if problems.bias else rows.x
        self._weight, self._offset, self._y = weight / weight.sum(), rows.offset, rows.y
        if record.positive[0] >= 0:
            self._y = (rows.y == record.positive[0]).astype(rows.y.dtype)
        self._l2 = problems.per_coefficient(problems.l2[self.which])[0]

    def at(self, w: np.ndarray) -> _Point:
        """What a step needs to know at w [P]."""
        self._count("value_and_gradient")
        z = np.dot(w.reshape(self._x.shape[1], -1).T, self._x.T)
        if self._offset is not None:
            z += self._offset.T
        if len(z) == 1:
            error, curvature = np.empty_like(z), np.empty_like(z)
            loss = logits.sigmoid_terms(z, self._y, error, curvature)[0]
        else:
            curvature, error, loss = logits.probabilities(z, self._y)
        error *= self._weight
        mean = self.given.of_data(np.dot(error, self._x).T[None], np.ones(1)).ravel()
        penalty = self._l2 * w
        return _Point(w, self._weight @ loss + penalty @ w / 2, mean + penalty, curvature)

    def hessian(self, point: _Point) -> np.ndarray:
        """[P, P]."""
        self._count("hessian")
        found = host_sums.of_curvature(self._x, self._weight, point.curvature)
        return self.given.with_penalty(found[None], self.which)[0]

    def _count(self, name: str) -> None:
        self.given.passes[self.k] += 1
        self.given.made[name] += 1


class _End(NamedTuple):
    """Where a problem ends; the fields but the first are those of a `Start`, of one problem."""

    point: _Point
    gap: float
    steps: int
    history: list[tuple[float, float, float]]


def _without_l1(problem: _Problem, w: np.ndarray, goal: Goal) -> _End:
    """Takes a problem from w [P] to its optimum by Newton steps."""
    enough, before, history = goal.certified_at[problem.k], np.inf, []
    point = problem.at(w)
    for steps in range(min(_MOST_STEPS, goal.max_steps)):
        direction = -linear_system.factored(problem.hessian(point))(point.gradient)
        slope, rounding = point.gradient @ direction, polish.NOISE * max(1, abs(point.value))
        gap = min(-slope / 2, problem.given.gradient_gap(point.gradient[None], problem.which)[0])
        if steps:
            history.append((float(problem.given.passes[problem.k]), float(point.value), float(gap)))
        # Where values no longer tell points apart, a step that does not halve the gap has met the rounding of
        # gradients too.
        if gap <= enough or (gap <= rounding and gap > before / 2):
            return _End(point, enough, steps, history)
        if problem.given.passes[problem.k] >= goal.max_passes:
            return _End(point, np.inf, steps, history)
        length = 1.0
        while length > _SHORTEST:
            with np.errstate(over="ignore", invalid="ignore"):
                trial = problem.at(point.w + length * direction)
            if trial.value <= point.value + _DECREASE * length * slope + rounding:
                break
            length /= 2
        else:
            return _End(point, np.inf, steps, history)
        point, before = trial, gap
    return _End(point, np.inf, steps + 1, history)


def _with_l1(problem: _Problem, w: np.ndarray, goal: Goal) -> _End:
    """The same by proximal Newton steps."""
    point = problem.at(w)

    def at(u: np.ndarray) -> _Point:
        nonlocal point
        point = point if np.array_equal(u, point.w) else problem.at(u.copy())
        return point

    def value_and_gradient(u: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
        here = at(u[0])
        return np.array([here.value]), here.gradient[None]

    given, which, enough = problem.given, problem.which, goal.certified_at[problem.k]
    fns = core.Functions(
        value_and_gradient=value_and_gradient,
        hessian_product=None,
        hessian=lambda u, _: problem.hessian(at(u[0]))[None],
        preconditioner=None,
        gradient_gap=lambda gradient, _: given.gradient_gap(gradient, which),
        l1=given.per_coefficient(given.l1[which]),
        target=np.array([enough]),
        noise=polish.NOISE,
        many_products=np.ones(1),
        alike=np.zeros(1, int),
    )
    state, history = proximal_newton.init(fns, w[None]), []
    while len(history) < min(_MOST_STEPS, goal.max_steps) and given.passes[problem.k] < goal.max_passes:
        state = proximal_newton.step(fns, state)
        value, gap = state.value[0] + fns.l1[0] @ np.abs(state.w[0]), float(state.gap[0])
        history.append((float(given.passes[problem.k]), float(value), gap))
        if gap <= enough or (state.stalled[0] and gap <= polish.NOISE * max(1, abs(value))):
            return _End(at(state.w[0]), enough, len(history), history)
        if state.stalled[0]:
            break
    return _End(at(state.w[0]), np.inf, len(history), history)
