"""`Monitor`: checkpoints, records and interrupts of a fit while it runs."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from tf_logreg.fit import progress
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.model.model import Model


def _silent(name: str, value: float, step: int) -> None:
    """Records nothing."""


@contextlib.contextmanager
def _undisturbed() -> Iterator[Callable[[], bool]]:
    """Ignores signals."""
    yield lambda: False


@dataclasses.dataclass(frozen=True)
class Monitor:
    """The only parts of a run that a fit uses.

    Attributes:
        checkpoints: where the fit saves and restores its state.
        record: called with (name, value, step) for TensorBoard.
        listen: a context manager that yields `interrupted`; within it signals do not interrupt the work.
        interrupted: called after each pass or loop; if True, the state is saved and the fit ends.
        late: called after each pass of a full-batch fit; if True, it ends with the weights that it has.
        bar: a context manager, from the target gap in nats, that yields `show` of `progress.gap_bar`.
        validation_metric: a model in raw units -> the metric of early stopping, None where it is undefined.
    """

    checkpoints: Checkpoints = dataclasses.field(default_factory=Checkpoints)
    record: Callable[[str, float, int], None] = _silent
    listen: Callable[[], contextlib.AbstractContextManager[Callable[[], bool]]] = _undisturbed
    interrupted: Callable[[], bool] = lambda: False
    late: Callable[[], bool] = lambda: False
    bar: Callable[[float], contextlib.AbstractContextManager[progress.Show]] = progress.gap_bar
    validation_metric: Callable[[Model], float | None] = lambda model: None

    @contextlib.contextmanager
    def listening(self) -> Iterator["Monitor"]:
        """This monitor with `interrupted` connected to signals, for the time of a fit."""
        with self.listen() as interrupted:
            yield dataclasses.replace(self, interrupted=interrupted)

    def below(self, name: str) -> "Monitor":
        """The monitor of a part of the fit, with checkpoints in the subfolder `name`."""
        return dataclasses.replace(self, checkpoints=self.checkpoints.below(name))
