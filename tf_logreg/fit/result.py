"""How a fit ended."""

import dataclasses
import enum

import numpy as np

from tf_logreg.exact.certificate import Certificate


class Status(enum.StrEnum):
    """The value goes to `result.json`; `explain` gives a person's words and the remedy."""

    FINISHED = "finished"
    STOPPED_EARLY = "stopped_early"
    OPTIMAL = "optimal"
    MAX_PASSES = "max_passes"
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
            Status.MAX_PASSES: "not certified: raise solver.max_passes, set standardize=True, give "
            "--dtype=float64, or add some l2",
            Status.SEPARATED: "the classes can be separated, so the loss falls for ever as coefficients "
            "grow: add some l2",
            Status.ROUNDED: "what is saved does not score as what was fitted: means far above the spread of "
            "their columns cost it the digits; subtract them from the data",
            Status.DIVERGED: "the loss is not finite: lower minibatch.learning_rate, or set standardize=True",
            Status.INTERRUPTED: "a checkpoint is saved; the same command resumes",
        }[self]


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What a fit says beside the weights that it sets on the model.

    Attributes:
        status: how it ended.
        iterations: updates of the weights.
        passes: reads of the training rows.
        history: (step, mean objective of the batches since the step before it), in nats; of a
            full-batch fit (passes, objective).
        message: what the status means here; `status.explain()` when empty.
        certificate: of a full-batch fit, else None.
        weights: of a full-batch fit, kernel [p, m] and bias [m] in training columns, float64: the model's
            own are rounded to its dtype.
        dependence: of unpenalised columns that depend on each other, for `result.json`; None where none do.
        relative_gap: certified, over the null model's loss; None where there is none.
    """

    status: Status
    iterations: int
    passes: float
    history: list[tuple[float, float]]
    message: str = ""
    certificate: Certificate | None = None
    relative_gap: float | None = None
    weights: tuple[np.ndarray, np.ndarray] | None = None
    dependence: dict | None = None
