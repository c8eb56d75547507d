"""Progress of a run: a bar on a terminal and in a notebook, otherwise a line in the log at intervals."""

import contextlib
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator

from tqdm import tqdm

from tf_logreg import notebook

log = logging.getLogger(__name__)

# Called with (passes, objective in nats, estimated gap in nats) after a step.
Show = Callable[[float, float, float], None]


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
def silent(target: float) -> Iterator[Show]:
    """Shows nothing."""
    yield lambda passes, objective, gap: None


@contextlib.contextmanager
def lines(target: float) -> Iterator[Show]:
    """Prints a line after each step."""

    def show(passes: float, objective: float, gap: float) -> None:
        print(f"{passes:.0f} passes: objective {objective:.9f}, gap about {gap:.1e}, to reach {target:.1e}")

    yield show


@contextlib.contextmanager
def gap_bar(target: float, interval: float = 10.0) -> Iterator[Show]:
    """A bar on a terminal or in a notebook.

    The bar shows progress in the logarithm of the gap, from the largest gap seen to the target.

    Args:
        target: the gap at which a fit ends, in nats.
        interval: seconds between lines in the log without a bar.
    """
    last, most = time.perf_counter(), None
    bar_format = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    with _tqdm(total=1.0, bar_format=bar_format, leave=False) as tqdm_bar:

        def show(passes: float, objective: float, gap: float) -> None:
            nonlocal last, most
            ratio = max(float(gap), 1e-300) / max(float(target), 1e-300)  # of Python floats: it may be inf
            if math.isfinite(ratio):
                most = max(most or 0.0, ratio)
            if not tqdm_bar.disable:
                tqdm_bar.set_postfix(objective=f"{objective:.6f}", gap=f"{gap:.1e}", passes=f"{passes:.0f}")
                if most is not None and most > 1:
                    done = 1 - max(math.log(ratio), 0.0) / math.log(most)
                    tqdm_bar.update(max(done - tqdm_bar.n, 0.0))
            elif time.perf_counter() - last >= interval:
                last = time.perf_counter()
                log.info("%.0f passes: objective %.9f, gap about %.1e", passes, objective, gap)

        yield show


@contextlib.contextmanager
def bar(steps: int, interval: float = 10.0) -> Iterator[Callable[[int, float, float], None]]:
    """Yields a function to call with (step, objective in nats, rows per second).

    Args:
        steps: number of steps in total.
        interval: seconds between lines in the log without a bar; the last step is always logged.
    """
    last = time.perf_counter()
    with _tqdm(total=steps, unit="step", leave=notebook.is_running()) as tqdm_bar:

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


def _tqdm(**options) -> tqdm:
    """A bar, hidden where nobody would see it; a widget in a notebook that has them."""
    if not notebook.is_running():
        return tqdm(disable=not sys.stderr.isatty(), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without widgets the bar is text, which does as well
        from tqdm.auto import tqdm as widget
    return widget(**options)
