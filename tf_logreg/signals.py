"""SIGINT, SIGTERM and SIGHUP: they end the program, or are noted within a block that must not be broken.

`hear` is called before TensorFlow is imported. From then on a signal ends the program with exit code 3,
even while the main thread is inside an operation of TensorFlow: files are written aside and renamed,
so none is ever incomplete. Within `noted` (a fit, a save) the signal is kept until the block asks for it
or ends. A second SIGINT does not wait. Once the program is done `ignore` lets it end as it was about to.
This module imports nothing heavy.
"""

import atexit
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

INTERRUPTED = 3  # exit code: the same command resumes
AT_ONCE = 130  # exit code of a second SIGINT: 128 + SIGINT, as in shells

# SIGHUP comes last; Windows has none.
_NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_lock = threading.Lock()
_under_way: list["Question"] = []
_heard = threading.Event()
_stderr = 2  # file descriptor for messages
_before_end: Callable[[], object] | None = None


class Question:
    """Call it to learn whether a signal has arrived. Any thread may call `set`."""

    def __init__(self):
        self._yes = threading.Event()
        self.answered = False

    def __call__(self) -> bool:
        """Whether a signal has arrived. After True the caller must act on the signal."""
        self.answered = self.answered or self._yes.is_set()
        return self._yes.is_set()

    @property
    def pending(self) -> bool:
        """Whether a signal has arrived that no caller has seen."""
        return self._yes.is_set() and not self.answered

    def set(self) -> None:
        """Notes that a signal or a notice has arrived."""
        self._yes.set()

    def is_set(self) -> bool:
        """Whether a signal has arrived, without marking it as seen."""
        return self._yes.is_set()


def hear() -> None:
    """Makes signals end this program. Call it from the main thread of a program, not from a library."""
    if _heard.is_set():
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    # Python runs handlers only between bytecodes of the main thread, but writes to this pipe at once.
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    _leave_to_pipe()
    atexit.register(ignore)
    threading.Thread(target=_act, args=(receiver,), daemon=True).start()
    _heard.set()


@contextlib.contextmanager
def noted() -> Iterator[Question]:
    """A block that a signal does not interrupt; it yields a `Question`, which says whether one arrived.

    A signal that no caller has seen takes effect when the block ends without an error. A second SIGINT ends
    the program at once, or raises KeyboardInterrupt if `hear` was not called. Without `hear`, the answer is
    always no outside the main thread, as Python handles signals only there.
    """
    question = Question()
    if _heard.is_set():
        if threading.current_thread() is threading.main_thread():
            # TensorFlow installs its own handler of SIGTERM when workers are connected.
            _leave_to_pipe()
        with _lock:
            _under_way.append(question)
        try:
            yield question
        finally:
            with _lock:
                _under_way.remove(question)
        if question.pending and not _under_way:
            _end(INTERRUPTED, "Interrupted: what was under way is done and whole; the same command goes on.")
        return
    if threading.current_thread() is not threading.main_thread():
        yield question
        return
    came = []

    def note(number, frame):
        if question.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)
        question.set()

    before = {number: signal.signal(number, note) for number in _heeded()}
    try:
        yield question
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if question.pending and came:
        signal.raise_signal(came[0])


@contextlib.contextmanager
def speaking_on(descriptor: int, before_end: Callable[[], object]) -> Iterator[None]:
    """A block in which messages go to `descriptor`, because descriptor 2 is redirected.

    Args:
        descriptor: file descriptor of the real standard error.
        before_end: called before a signal ends the program within the block.
    """
    global _stderr, _before_end
    before = _stderr, _before_end
    _stderr, _before_end = descriptor, before_end
    try:
        yield
    finally:
        _stderr, _before_end = before


def _leave_to_pipe() -> None:
    """Makes signals do nothing but write their numbers to the pipe of `hear`."""
    for number in _heeded():
        signal.signal(number, lambda *_: None)


def ignore() -> None:
    """Lets the program end as it was about to; SIGKILL alone ends one that hangs.

    What it did is done. At its end Python gives signals that had a handler back to the system, which kills by
    them, and ending TensorFlow takes most of a second.
    """
    for number in _heeded():
        signal.signal(number, signal.SIG_IGN)


def _heeded() -> list[int]:
    """The signals that are handled: all, except SIGHUP if nohup made the process ignore it."""
    ignored = [number for number in _NUMBERS[2:] if signal.getsignal(number) is signal.SIG_IGN]
    return [number for number in _NUMBERS if number not in ignored]


def _act(receiver: socket.socket) -> None:
    """Acts on signals as they arrive; runs in a thread of its own."""
    while True:
        for number in receiver.recv(16):
            if number not in _NUMBERS:
                continue
            name = signal.Signals(number).name
            with _lock:
                if not _under_way:
                    _end(
                        INTERRUPTED,
                        f"Interrupted by {name}: what is saved is whole; the same command goes on.",
                    )
                if number == signal.SIGINT and any(question.is_set() for question in _under_way):
                    _end(AT_ONCE, f"Ended at once by a second {name}: what is saved is whole.")
                for question in _under_way:
                    question.set()
                _say(f"{name}: ending as soon as what is under way is saved. A second SIGINT ends at once.")


def _end(code: int, message: str) -> None:
    """Ends the process without waiting for the main thread, which may be inside a long operation."""
    if _before_end is not None:
        _before_end()
    _say(message)
    os._exit(code)


def _say(message: str) -> None:
    # sys.stderr is not used, because the main thread may hold its lock.
    with contextlib.suppress(OSError):
        os.write(_stderr, f"{message}\n".encode())
