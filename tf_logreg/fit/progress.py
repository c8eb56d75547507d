"""What a person sees while a run works: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

log = logging.getLogger(__name__)


class Clock:
    """Wall seconds of each stage, in the order in which they ended."""

    def __init__(self):
        """Starts the first stage."""
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Ends a stage; the next one starts."""
        now = time.perf_counter()
        self.seconds[stage], self._last = round(now - self._last, 3), now


@contextlib.contextmanager
def bar(steps: int, interval: float = 10.0) -> Iterator[Callable[[int, float, float], None]]:
    """Gives a function to call with (step, objective in nats, rows a second).

    Args:
        steps: how many there will be.
        interval: seconds between lines where there is no terminal; the last step always has one.
    """
    last = time.perf_counter()
    with tqdm(total=steps, unit="step", disable=not sys.stderr.isatty(), leave=False) as tqdm_bar:

        def show(step: int, objective: float, rows_per_second: float) -> None:
            nonlocal last
            if not tqdm_bar.disable:
                tqdm_bar.set_postfix(objective=f"{objective:.4f}", rows_per_second=f"{rows_per_second:,.0f}")
                tqdm_bar.update(step - tqdm_bar.n)
            elif step == steps or time.perf_counter() - last >= interval:
                last = time.perf_counter()
                log.info(
                    "step %d of %d: objective %.6f, %.0f rows/s", step, steps, objective, rows_per_second
                )

        yield show
