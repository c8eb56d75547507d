"""Imports TensorFlow for the command line. Its start-up messages are held back, and shown only if it fails.

TensorFlow's libraries write to file descriptor 2 while they are loaded, before they read any setting: which
CPU instructions they use, what they could not register. This does not concern the run, but if the import
fails it may hold the reason. Only the command line uses this module; other programs decide for themselves.
"""

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Iterator

from tf_logreg import signals
from tf_logreg.errors import InputError, brief

# Keras imports these if they are installed, for plots, tables and wrappers. The command line needs none.
# They take a third of the time.
_NOT_NEEDED = ("matplotlib", "pandas", "sklearn")
_SECONDS_TO_SHOW = 5  # at most
# The process that holds the messages back. It shows them when all writers have closed the pipe.
_KEEPER = "import sys; sys.stderr.buffer.write(sys.stdin.buffer.read())"


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras, if they are not imported yet.

    Raises:
        InputError: they cannot be imported; their messages have been shown.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # after the import: errors only
    with kept_back(), _absent(_NOT_NEEDED), _kept_for_good():
        try:
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
        except Exception as error:  # a broken installation may raise anything
            raise InputError(
                "TensorFlow: expected an installation that can be imported. Received: "
                f"{type(error).__name__}: {brief(error)} (python -c 'import tensorflow' shows where)."
            ) from None


@contextlib.contextmanager
def _absent(modules: tuple[str, ...]) -> Iterator[None]:
    """A block in which importing these modules fails, as if they were not installed."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None stops the import system
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _kept_for_good() -> Iterator[None]:
    """A block whose objects the garbage collector does not look at, in the block or later.

    Modules live as long as the process. Looking at all of TensorFlow takes a tenth of its import, and half a
    second when the process ends.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def kept_back() -> Iterator[None]:
    """A block whose output to file descriptor 2 is held back, and shown if the block or the process fails.

    Another process holds it, so it is shown even if the block ends this process, as TensorFlow's import
    does on a CPU without the instructions it was built for. On a signal, only the signal's message is shown.
    """
    if sys.stderr is None:  # closed by the caller: descriptor 2 may be any file
        yield
        return
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C does not reach it
        )
    except OSError:  # no process can be started
        yield
        return
    sys.stderr.flush()
    shown = os.dup(2)
    with signals.speaking_on(shown, before_end=keeper.kill):
        os.dup2(keeper.stdin.fileno(), 2)
        keeper.stdin.close()
        try:
            yield
            keeper.kill()
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)  # closes our end of the pipe; the keeper then shows its messages
            with contextlib.suppress(subprocess.TimeoutExpired):  # another process may hold the pipe open
                keeper.wait(_SECONDS_TO_SHOW)
    os.close(shown)
