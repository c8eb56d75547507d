"""The start of a fit of small problems: bare Newton steps to where rounding stops them.

Their arithmetic takes microseconds. What a fit has around a step, for rows that take seconds to read, takes
most of a millisecond: blocks, threads, checkpoints between passes, searches for many problems at once. None
of it is needed here. The loop certifies what these steps found, and goes on from there if it has to.
"""

import numpy as np

from tf_logreg.fit.full_batch import polish, requests
from tf_logreg.fit.full_batch.goal import Goal, Start
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.objective import host_losses, host_sums
from tf_logreg.solvers import linear_system

_MOST_STEPS, _MOST_HALVINGS = 30, 50
_DECREASE = 1e-4  # of what the slope promises, which a step must keep (Armijo)


def start(problems: Penalized, w: np.ndarray, goal: Goal) -> Start | None:
    """Takes K problems from w [K, P] to their optimum; None where they are not small.

    All of it takes a fraction of a second, so that no signal is waited for within.

    Args:
        problems: K of them, with l2 on every kernel; their passes are counted.
        goal: says whether to go on to the last digits, and in how many steps and passes at most.
    """
    if not (goal.last_digits and _are_small(problems)):
        return None
    solved = [_solved(_Problem(problems, k), one, goal) for k, one in enumerate(w)]
    *found, histories = zip(*solved, strict=True)
    return Start(*map(np.array, found), max(histories, key=len))


def _are_small(problems: Penalized) -> bool:
    """Whether all rows are in memory in float64, and a Hessian of them is quick to make; there is no l1."""
    if not problems.engine.exact or problems.engine.held is None or problems.l1.any():
        return False
    return problems.explicit(problems.size) and not requests.hessian_passes(problems)


class _Problem:
    """Problem k over all rows at once: F in nats, its gradient and its Hessian, with nothing made twice."""

    def __init__(self, problems: Penalized, k: int):
        self.given, self.k, self.which = problems, k, np.array([k])
        record, rows = problems.record(self.which), problems.engine.held.rows
        (p, m), ones = problems.shape, np.ones((len(rows.y), 1))
        total, (weight,), _ = host_sums.curvatures(np.zeros((1, p + 1, m)), record, rows)
        self._x = np.concatenate([rows.x, ones], axis=1) if problems.bias else rows.x
        self._weight, self._y, self._offset = weight / total, rows.y, rows.offset
        if m == 1:
            self._signs = 1.0 - 2 * (rows.y if record.positive[0] < 0 else rows.y == record.positive[0])
        self._l2 = problems.per_coefficient(problems.l2[self.which])[0]
        self._logits = None

    def value_and_gradient(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """F and its gradient [P] at w [P]."""
        self.given.passes[self.k] += 1
        self.given.made["value_and_gradient"] += 1
        z = np.dot(w.reshape(self._x.shape[1], -1).T, self._x.T)
        if self._offset is not None:
            z += self._offset.T
        self._logits = z.copy()  # losses are made in their place
        if len(z) == 1:
            loss, error = host_losses.sigmoid_loss_and_error(z, self._signs)
        else:
            loss, error = host_losses.softmax_loss_and_error(z[None], self._y)
        gradient = np.dot(error.reshape(z.shape) * self._weight, self._x)
        mean = self.given.of_data(gradient.T[None], np.ones(1)).ravel()
        return self._weight @ loss[0] + self._l2 @ np.square(w) / 2, mean + self._l2 * w

    def hessian(self) -> np.ndarray:
        """[P, P], where F was last asked for."""
        self.given.passes[self.k] += 1
        self.given.made["hessian"] += 1
        z = self._logits.copy()
        curvature = host_losses.sigmoid_curvature(z) if len(z) == 1 else host_losses.softmax(z[None])[0]
        found = host_sums.of_curvature(self._x, self._weight, curvature)
        return self.given.with_penalty(found[None], self.which)[0]


def _solved(
    problem: _Problem, w: np.ndarray, goal: Goal
) -> tuple[np.ndarray, float, int, list[tuple[float, float, float]]]:
    """Weights of a problem, its estimated gap in nats, infinite where there is none, steps and history."""
    enough, before, history = goal.certified_at[problem.k], np.inf, []
    value, gradient = problem.value_and_gradient(w)
    for steps in range(min(_MOST_STEPS, goal.max_steps)):
        direction = -linear_system.factored(problem.hessian())(gradient)
        slope, rounding = gradient @ direction, polish.NOISE * max(1, abs(value))
        gap = min(-slope / 2, problem.given.gradient_gap(gradient[None], problem.which)[0])
        if steps:
            history.append((float(problem.given.passes[problem.k]), float(value), float(gap)))
        # Where values no longer tell points apart, a step that does not halve the gap has met the rounding of
        # gradients too.
        if gap <= enough or (gap <= rounding and gap > before / 2):
            return w, enough, steps, history
        if problem.given.passes[problem.k] >= goal.max_passes:
            return w, np.inf, steps, history
        for length in 0.5 ** np.arange(_MOST_HALVINGS):
            trial = w + length * direction
            with np.errstate(over="ignore", invalid="ignore"):
                found = problem.value_and_gradient(trial)
            if found[0] <= value + _DECREASE * length * slope + rounding:
                break
        else:
            return w, np.inf, steps, history
        w, (value, gradient), before = trial, found, gap
    return w, np.inf, steps + 1, history
