"""How a fit ended."""

import dataclasses
import enum


class Status(enum.StrEnum):
    """The value goes to `result.json`; `explain` gives a person's words and the remedy."""

    FINISHED = "finished"
    STOPPED_EARLY = "stopped_early"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    def explain(self) -> str:
        """What the status means and what to do about it."""
        return {
            Status.FINISHED: "all epochs were run; nothing is claimed about the distance to the optimum",
            Status.STOPPED_EARLY: "the validation metric stopped improving (minibatch.early_stopping)",
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
        history: (step, mean objective of the batches since the step before it), in nats.
    """

    status: Status
    iterations: int
    passes: float
    history: list[tuple[int, float]]
