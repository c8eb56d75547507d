"""Signals and a cloud's notices, checked between steps instead of raised as exceptions within one."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from tf_logreg import signals
from tf_logreg.devices import preemption


@contextlib.contextmanager
def listen() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether a signal or a notice to stop has arrived (`signals.noted`)."""
    ended = threading.Event()
    with signals.noted() as question:
        preemption.watch(question, ended)
        try:
            yield question
        finally:
            ended.set()
