"""The start of a fit of small problems: bare Newton steps to where rounding stops them.

Their arithmetic takes microseconds. What a fit has around a step, for rows that take seconds to read, takes
most of a millisecond: blocks, threads, checkpoints between passes, searches for many problems at once. None
of it is needed here. The loop certifies what these steps found, and goes on from there if it has to.
"""

import numpy as np

from tf_logreg.errors import InterruptError
from tf_logreg.fit.full_batch import polish, requests
from tf_logreg.fit.full_batch.goal import Goal, Start
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.monitor import Monitor
from tf_logreg.objective import host_sums
from tf_logreg.solvers import linear_system

_MOST_STEPS, _MOST_HALVINGS = 30, 50
_DECREASE = 1e-4  # of the value, relative to the slope's


def start(problems: Penalized, w: np.ndarray, *, goal: Goal, monitor: Monitor) -> Start | None:
    """Takes K problems from w [K, P] to their optimum; None where they are not small.

    Args:
        problems: K of them, with l2 on every kernel; their passes are counted.
        goal: says whether to go on to the last digits, and in how many steps and passes at most.
        monitor: may end the steps early.

    Raises:
        InterruptError: a signal arrived. A run that resumes takes these steps again.
    """
    if not (goal.last_digits and _are_small(problems)):
        return None
    rows = problems.engine.held.rows

    def sums(name, arguments, record, width, every=1):
        return getattr(host_sums, name)(*arguments, record, rows)

    direct = problems.through(sums)
    solved = [_solved(direct, one, k, goal, monitor) for k, one in enumerate(w)]
    return Start(*map(np.array, zip(*solved, strict=True)))


def _are_small(problems: Penalized) -> bool:
    """Whether all rows are in memory in float64, and a Hessian of them is quick to make; there is no l1."""
    if not problems.engine.exact or problems.engine.held is None or problems.l1.any():
        return False
    return problems.explicit(problems.size) and not requests.hessian_passes(problems)


def _solved(
    problems: Penalized, w: np.ndarray, k: int, goal: Goal, monitor: Monitor
) -> tuple[np.ndarray, float, int]:
    """Weights of problem k, its estimated gap in nats, infinite where there is none, and its steps."""
    at, before = np.array([k]), np.inf

    def value_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = problems.value_and_gradient(w[None], at)
        return value[0], gradient[0]

    value, gradient = value_and_gradient(w)
    for steps in range(min(_MOST_STEPS, goal.max_steps)):
        if monitor.interrupted():
            raise InterruptError("Interrupted before the first certificate: the same command begins there.")
        direction = -linear_system.factored(problems.hessian(w[None], at)[0])(gradient)
        slope, rounding = gradient @ direction, polish.NOISE * max(1, abs(value))
        gap = min(-slope / 2, problems.gradient_gap(gradient[None], at)[0])
        # Where values no longer tell points apart, a step that does not halve the gap has met the rounding of
        # gradients too.
        if gap <= goal.certified_at[k] or (gap <= rounding and gap > before / 2):
            return w, goal.certified_at[k], steps
        if monitor.late() or problems.passes[k] >= goal.max_passes:
            return w, np.inf, steps
        for length in 0.5 ** np.arange(_MOST_HALVINGS):
            trial = w + length * direction
            with np.errstate(over="ignore", invalid="ignore"):
                found = value_and_gradient(trial)
            if found[0] <= value + _DECREASE * length * slope + rounding:
                break
        else:
            return w, np.inf, steps
        w, (value, gradient), before = trial, found, gap
    return w, np.inf, steps + 1
