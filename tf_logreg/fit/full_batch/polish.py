"""Newton steps in float64 on small problems, behind the method of a fit, until rounding stops them.

There a gap of 1e-6 and one of 1e-15 are a few milliseconds apart, and people compare coefficients to seven
digits. Problems on which the method came no further, as gradients alone may, are solved on the way. Values
and gradients come from the raw rows in float64, as certificates do; Hessians from the engine.
"""

import dataclasses
from types import ModuleType

import numpy as np

from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.goal import ROUNDING, Goal, Outcome, Start
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status
from tf_logreg.solvers import load as solvers

# Rows times coefficients of all problems, and coefficients of one, where they are small: a step takes some
# ten milliseconds.
_LARGEST, _MOST_COEFFICIENTS = 2**21, 1000
_MOST_STEPS = 20
NOISE = 1e-15  # relative rounding error of a float64 sum over the rows


def at_once(goal: Goal, problems: Penalized, method: ModuleType) -> Goal:
    """The goal with `last_digits` where the steps below need not wait for the method's own certificate.

    The problems are small, and theirs is Newton's method with an explicit Hessian. Every kernel has a
    penalty: without one the data may be separable, which a certificate on the way finds out.

    Args:
        goal, problems: as of `polish`. method: of the fit, from `solvers.load`.
    """
    newton = method is solvers.load("proximal_newton" if problems.l1.any() else "newton")
    penalised = bool((problems.l1 + problems.l2 > 0).all())
    small = newton and penalised and problems.explicit(problems.size) and goes_on(problems, goal)
    return dataclasses.replace(goal, last_digits=small)


def goes_on(problems: Penalized, goal: Goal) -> bool:
    """Whether problems go on to the last digits."""
    return goal.polish and is_small(len(problems.l2), problems.num_rows, problems.size)


def is_small(count: int, num_rows: int, size: int) -> bool:
    """Whether so many problems over so many rows, of `size` coefficients each, are small."""
    return size <= _MOST_COEFFICIENTS and count * num_rows * size <= _LARGEST


def polish(
    certified: Certified, outcome: Outcome, goal: Goal, monitor: Monitor, begin: Start | None = None
) -> None:
    """Improves the weights of problems that are optimal or came no further, and certifies them again.

    Args:
        certified: the problems.
        outcome: of `loop.solve`; changed in place. A problem that misses its target then is left as it was.
        goal: says whether to; its number of steps is not exceeded.
        monitor: ends it early, by a signal or the time limit.
        begin: of `loop.solve`. Where no step was needed from there, rounding has stopped the steps before it.
    """
    problems = certified.problems
    given_up = Status.MAX_PASSES if outcome.passes.max(initial=0) < goal.max_passes else None
    taken = np.array([one in (Status.OPTIMAL, given_up) for one in outcome.status])
    if begin is not None:
        taken &= outcome.steps > begin.steps
    steps = min(_MOST_STEPS, goal.max_steps - outcome.iterations)
    done = goal.last_digits or not goes_on(problems, goal)
    if done or not taken.any() or steps < 1 or monitor.late():
        return
    fns = problems.functions(np.full(len(taken), ROUNDING), NOISE, explicit=True)
    fns = dataclasses.replace(fns, value_and_gradient=certified.exact)
    method = solvers.load("proximal_newton" if problems.l1.any() else "newton")
    state = method.init(fns, outcome.w)
    state.finished[:] = ~taken
    for _ in range(steps):
        outcome.steps[~state.finished] += 1
        with problems.blas_threads():
            state = method.step(fns, state)
        outcome.iterations += 1
        state.finished |= state.stalled | (state.gap <= ROUNDING) | ~np.isfinite(state.w).all(axis=1)
        if state.finished.all() or monitor.interrupted() or monitor.late():
            break
    at = np.flatnonzero(taken & np.isfinite(state.w).all(axis=1))
    for k, found in zip(at, certified.certify(state.w[at], at, goal.gap[at]), strict=True):
        if found.gap is not None and found.gap <= goal.gap[k] and not found.unclear:
            outcome.w[k], outcome.certificates[k], outcome.status[k] = state.w[k], found, Status.OPTIMAL
    outcome.passes[:] = problems.passes
