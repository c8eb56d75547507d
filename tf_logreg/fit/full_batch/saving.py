"""`Saving`: when the state of a full-batch fit is saved, and how a signal ends it."""

import time
from typing import Any

import numpy as np

from tf_logreg.errors import InterruptError
from tf_logreg.fit.full_batch.tape import Tape
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status

_SECONDS_BETWEEN_CHECKPOINTS = 1.0


class OutOfTime(Exception):  # noqa: N818 - no error: the loop ends with the weights before the step
    """The time limit came within a step."""


class Saving:
    """Saves the loop's state when a second has passed, or on a signal."""

    tape: Tape

    def __init__(self, monitor: Monitor, loop: Any, passes: np.ndarray):
        """`loop` gives `arrays(tape)` and `iterations`, which are saved; `passes` [K] are its reads."""
        self._monitor, self._loop, self._passes = monitor, loop, passes
        self._saved_at = time.monotonic()

    def after_pass(self) -> None:
        """Saves the state when it is due; InterruptError when the monitor interrupts the fit."""
        stop = self._monitor.interrupted()
        if stop or self._due():
            self._save()
        if stop:
            raise InterruptError(
                f"Interrupted after {self._passes.max():.1f} passes over the rows: "
                f"{Status.INTERRUPTED.explain()}."
            )

    def after_pass_of_step(self) -> None:
        """`after_pass`; OutOfTime when the monitor's time is over."""
        if self.late_in_step():
            raise OutOfTime

    def late_in_step(self) -> bool:
        """`after_pass`, where a step may itself end early: whether the monitor's time is over."""
        self.after_pass()
        return self._loop.state is not None and self._monitor.late()

    def at_end(self) -> None:
        """Saves the final state when it is due, as the run may be killed after the fit."""
        if self._due():
            self._save()

    def _due(self) -> bool:
        seconds = time.monotonic() - self._saved_at
        return bool(self._monitor.checkpoints.every_steps) and seconds > _SECONDS_BETWEEN_CHECKPOINTS

    def _save(self) -> None:
        start = time.monotonic()
        self._monitor.checkpoints.save(self._loop.iterations, self._loop.arrays(self.tape))
        # A large state is saved less often, so that saving takes at most a twentieth of the time.
        self._saved_at = time.monotonic() + 19 * (time.monotonic() - start)
