"""SIGINT, SIGTERM and SIGHUP: the end of the program, or a question where something is under way.

`hear` comes before TensorFlow is imported. From then on a signal ends the program with exit code 3,
even while the main thread is inside an operation of TensorFlow: files are written aside and renamed,
so nothing is ever half. Within `noted` (a fit, a save) the signal is kept until somebody asks or the
block has ended. A second SIGINT does not wait. This module imports nothing heavy.
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

INTERRUPTED = 3  # the exit code: the same command goes on
AT_ONCE = 130  # 128 + SIGINT, as shells have it: the user would not wait

# SIGHUP last: Windows has none.
_NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_lock = threading.Lock()
_under_way: list["Question"] = []
_heard = threading.Event()
_stderr = 2  # the file descriptor that messages go to
_before_end: Callable[[], object] | None = None


class Question:
    """Whether a signal has come: call it. `set` says yes from any thread."""

    def __init__(self):
        self._yes = threading.Event()
        self.answered = False

    def __call__(self) -> bool:
        """Once this was True, what comes of the signal is the caller's affair."""
        self.answered = self.answered or self._yes.is_set()
        return self._yes.is_set()

    @property
    def pending(self) -> bool:
        """A signal came, and nobody has asked since."""
        return self._yes.is_set() and not self.answered

    def set(self) -> None:
        """A signal or a notice has come."""
        self._yes.set()

    def is_set(self) -> bool:
        """The same, without answering."""
        return self._yes.is_set()


def hear() -> None:
    """Makes signals end this program, from the main thread; for a program, not for a library's user."""
    if _heard.is_set():
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    # Python runs handlers between two bytecodes of the main thread; this pipe it fills at once.
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    _leave_to_pipe()
    threading.Thread(target=_act, args=(receiver,), daemon=True).start()
    _heard.set()


@contextlib.contextmanager
def noted() -> Iterator[Question]:
    """A block that a signal does not break: a question that may be asked in it.

    A signal that nobody has asked about takes effect when the block has ended well. A second SIGINT ends
    the program at once, or is a KeyboardInterrupt where `hear` was not called. Outside the main thread of
    such a process, where Python takes no signals, the answer is always no.
    """
    question = Question()
    if _heard.is_set():
        if threading.current_thread() is threading.main_thread():
            # TensorFlow takes SIGTERM for itself when workers are connected.
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
    """A block in which messages go to this file descriptor, for 2 is another file meanwhile.

    Args:
        descriptor: of the real standard error.
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
    """From here on a signal does nothing but write its number to the pipe that `hear` has made."""
    for number in _heeded():
        signal.signal(number, lambda *_: None)


def _heeded() -> list[int]:
    """All of them, but SIGHUP where nohup has told the process to ignore it."""
    ignored = [number for number in _NUMBERS[2:] if signal.getsignal(number) is signal.SIG_IGN]
    return [number for number in _NUMBERS if number not in ignored]


def _act(receiver: socket.socket) -> None:
    """Takes the numbers of signals as they come, in a thread of its own."""
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
    """Ends the process without asking the main thread, which may be deep in an operation."""
    if _before_end is not None:
        _before_end()
    _say(message)
    os._exit(code)


def _say(message: str) -> None:
    # Not through sys.stderr: the main thread may hold its lock.
    with contextlib.suppress(OSError):
        os.write(_stderr, f"{message}\n".encode())
