"""SIGINT, SIGTERM and a cloud's notice as a question between steps, not as an exception within one."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from tf_logreg.fit import preemption


@contextlib.contextmanager
def listen() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether a signal to stop has come.

    A second SIGINT raises KeyboardInterrupt at once. Outside the main thread, where Python takes no
    signals, the answer is always no.
    """
    stop, ended = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    def note(number, frame):
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    preemption.watch(stop, ended)
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop.is_set
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)
