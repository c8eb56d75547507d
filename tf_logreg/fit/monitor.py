"""`Monitor`: what a fit tells and asks while it runs."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.model.model import Model


def _silent(name: str, value: float, step: int) -> None:
    """Records nothing."""


@contextlib.contextmanager
def _undisturbed() -> Iterator[Callable[[], bool]]:
    """Hears nothing."""
    yield lambda: False


@dataclasses.dataclass(frozen=True)
class Monitor:
    """Attributes of a run that a fit needs, and nothing else of the run.

    Attributes:
        checkpoints: where its states are saved and found.
        record: called with (name, value, step) for TensorBoard.
        listen: a block in which signals do not break what is under way; it gives `interrupted`.
        interrupted: asked after each pass or loop; when it says yes, the state is saved and the fit ends.
        validation_metric: a model in raw units -> what early stopping watches, None where it is undefined.
    """

    checkpoints: Checkpoints = dataclasses.field(default_factory=Checkpoints)
    record: Callable[[str, float, int], None] = _silent
    listen: Callable[[], contextlib.AbstractContextManager[Callable[[], bool]]] = _undisturbed
    interrupted: Callable[[], bool] = lambda: False
    validation_metric: Callable[[Model], float | None] = lambda model: None

    @contextlib.contextmanager
    def listening(self) -> Iterator["Monitor"]:
        """The monitor that is asked within a fit, while signals are heard."""
        with self.listen() as interrupted:
            yield dataclasses.replace(self, interrupted=interrupted)

    def below(self, name: str) -> "Monitor":
        """Of a part of the fit, whose checkpoints have a folder of their own."""
        return dataclasses.replace(self, checkpoints=self.checkpoints.below(name))
