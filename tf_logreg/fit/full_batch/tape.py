"""`Tape`: passes over the rows since the last complete step, for a checkpoint within a step."""

from collections.abc import Callable

import numpy as np

from tf_logreg.engines.engine import Sums


class Tape:
    """Records the sums of passes over the rows since the last complete step.

    A method's algebra is deterministic, so a resumed step replays its passes from the tape and reads X
    only after the tape ends.
    """

    def __init__(self, sums: Sums, after: Callable[[], None]):
        """`after` is called after each pass that was made, not replayed."""
        self.recorded: list[list[np.ndarray]] = []
        self._next, self._sums, self._after = 0, sums, after

    def __call__(self, *arguments) -> list[np.ndarray]:
        """The engine's sums of a pass, made or replayed."""
        return self.sums(self._sums, *arguments)

    def sums(self, make: Sums, *arguments) -> list[np.ndarray]:
        """Those of a pass that `make` makes, or replayed."""
        if self._next == len(self.recorded):
            self.recorded.append(make(*arguments))
            self._next += 1
            self._after()
            return self.recorded[-1]
        self._next += 1
        return self.recorded[self._next - 1]

    def clear(self) -> None:
        """Clears the tape at the end of a step."""
        self.recorded, self._next = [], 0

    def close(self) -> None:
        """Drops the references to the rows: `after` refers to the tape, and this cycle would keep X alive."""
        self._sums, self._after = None, None
        self.clear()
