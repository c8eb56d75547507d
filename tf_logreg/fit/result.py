"""The result of a fit: a model and a status."""

import dataclasses
import enum
from typing import Any

import numpy as np

from tf_logreg.exact.certificate import Certificate
from tf_logreg.fit.penalties import Penalty
from tf_logreg.model.model import Model


class Status(enum.StrEnum):
    """How a fit ended. The value goes to `result.json`; `explain` has the meaning and the remedy."""

    FINISHED = "finished"
    STOPPED_EARLY = "stopped_early"
    OPTIMAL = "optimal"
    MAX_PASSES = "max_passes"
    TIME_LIMIT = "time_limit"
    SEPARATED = "separated"
    ROUNDED = "rounded"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    def explain(self) -> str:
        """What the status means and what to do about it."""
        return {
            Status.FINISHED: "all epochs were run; nothing is claimed about the distance to the optimum",
            Status.STOPPED_EARLY: "the validation metric stopped improving (minibatch.early_stopping)",
            Status.OPTIMAL: "the gap to the optimum is certified to be at most solver.tol",
            Status.MAX_PASSES: "not certified: raise solver.max_passes and solver.max_steps, set "
            "standardize=True, give --dtype=float64, or add some l2",
            Status.TIME_LIMIT: "not certified within solver.time_limit: raise it",
            Status.SEPARATED: "the classes can be separated, so the loss falls for ever as coefficients "
            "grow: add some l2",
            Status.ROUNDED: "what is saved does not score as what was fitted: means far above the spread of "
            "their columns cost it the digits; subtract them from the data",
            Status.DIVERGED: "the loss is not finite: lower minibatch.learning_rate, or set standardize=True",
            Status.INTERRUPTED: "a checkpoint is saved; the same command resumes",
        }[self]


@dataclasses.dataclass(frozen=True)
class Trained:
    """Weights in training columns, and figures of the fit.

    Attributes:
        status: how the fit ended. iterations: updates of the weights. passes: reads of the training rows.
        kernel, bias: [p, m] and [m]; None when the fit diverged.
        history: (step, objective in nats) after each loop; (passes, objective) for a full-batch fit.
        objective: F at these weights, nats; None where it is not finite.
        message: explains the status of this fit; empty stands for `status.explain()`.
        certificate: None for a minibatch fit. relative_gap: the certified gap over the null model's loss;
            None without a certified gap.
        dependence: linearly dependent unpenalised columns, for `result.json`; None where there are none.
        made: number of passes by name, as of `Penalized`, for a full-batch fit.
    """

    status: Status
    iterations: int
    passes: float
    kernel: np.ndarray | None
    bias: np.ndarray | None
    history: list[tuple[float, float]]
    objective: float | None = None
    message: str = ""
    certificate: Certificate | None = None
    relative_gap: float | None = None
    dependence: dict | None = None
    made: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Fit:
    """The result of `learn`.

    Attributes:
        model: in raw units, with the prior corrected.
        status: how the fit ended. message: explains the status, with the remedy.
        trained: the weights in training columns, and figures of the fit.
        solver: 'minibatch' or one of `solvers.load.known()`.
        relative_gap: the certified gap over the null model's loss; None without a certified gap.
        penalty: of the model.
        path: `fit.path.path.Path` if a penalty was chosen, else None.
        no_inference: why the model has no standard errors, which were asked for.
        threshold: how the model's threshold came about, for `result.json`; None without one.
    """

    model: Model
    status: Status
    message: str
    trained: Trained
    solver: str
    relative_gap: float | None
    penalty: Penalty
    path: Any = None
    no_inference: str = ""
    threshold: Any = None
