"""Signals and a cloud's notice as a question between steps, not as an exception within one."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from tf_logreg import signals
from tf_logreg.devices import preemption


@contextlib.contextmanager
def listen() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether a signal to stop, or a notice, has come (`signals.noted`)."""
    ended = threading.Event()
    with signals.noted() as question:
        preemption.watch(question, ended)
        try:
            yield question
        finally:
            ended.set()
