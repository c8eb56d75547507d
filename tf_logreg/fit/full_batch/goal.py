"""`Goal`: when the problems of a full-batch fit are done; `Start` and `Outcome`: where they start and end."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.exact.certificate import Certificate
from tf_logreg.fit.result import Status

# Of the estimated gap, nats: the step to the optimum is then 1e-10 in the Hessian's norm, and less where the
# estimate is a bound by the gradient.
ROUNDING = 1e-20


@dataclasses.dataclass(frozen=True)
class Goal:
    """Stopping rule of K problems.

    Attributes:
        gap: [K] target of the certified gap, nats.
        max_passes: reads of the rows after which a problem is given up.
        noise: relative rounding error of the engine's values; smaller progress is not visible.
        max_steps: steps of the method after which all problems are given up.
        polish: whether small problems go on from there until rounding stops them (`polish.polish`).
        last_digits: the method itself goes on until rounding stops it, with float64 values and gradients from
            the start; the problems are certified first there, and not at the target.
    """

    gap: np.ndarray
    max_passes: int
    noise: float
    max_steps: int = 2**62
    polish: bool = True
    last_digits: bool = False

    @property
    def certified_at(self) -> np.ndarray:
        """[K], estimated gaps in nats at which problems are certified first."""
        return np.full_like(self.gap, ROUNDING) if self.last_digits else self.gap.copy()

    def some(self, which: np.ndarray) -> "Goal":
        """The goal of the problems `which`."""
        return dataclasses.replace(self, gap=self.gap[which])


def goal_of(solver: ConfigDict, null: np.ndarray, noise: float) -> Goal:
    """The goal of problems by a config's section solver; `null` [K] are the null models' losses."""
    limits = {"max_steps": solver.max_steps} if solver.max_steps else {}
    return Goal(solver.tol * null, solver.max_passes, noise, polish=solver.polish, **limits)


@dataclasses.dataclass(frozen=True)
class Start:
    """Weights w [K, P] that are close to the optimum.

    gap: [K], estimates in nats; infinite where there is none. steps: [K], of a method that led there.
    history: as of an `Outcome`, of these steps.
    value_and_gradient: [K] and [K, P], of the smooth part there; None where they are to be made.
    """

    w: np.ndarray
    gap: np.ndarray
    steps: np.ndarray
    history: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)
    value_and_gradient: tuple[np.ndarray, np.ndarray] | None = None


@dataclasses.dataclass
class Outcome:
    """Results of K problems.

    Attributes:
        w: [K, P]. status: list of K. certificates: list of K, the last certificate of each problem.
        running_off: list of K, None or the direction [q, m] along which a separated problem has no optimum.
        passes: [K] reads of the rows. steps: [K] of the method. iterations: steps of the slowest problem.
        history: (passes of the slowest problem, its objective, its estimated gap) after each step.
    """

    w: np.ndarray
    status: list[Status]
    certificates: list[Certificate]
    running_off: list[np.ndarray | None]
    passes: np.ndarray
    steps: np.ndarray
    iterations: int
    history: list[tuple[float, float, float]]
