"""TensorFlow's import, as the program makes it: its start-up lines are kept back, and shown only if it fails.

TensorFlow's libraries write to file descriptor 2 while they are loaded, before any setting of theirs is read:
which CPU instructions they use, what they could not register. None of it is about the run. Where the import
fails, the reason may be among it. A user's own program decides such things itself, so only ours comes here.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from tf_logreg import signals
from tf_logreg.errors import InputError, brief

_SECONDS_TO_SHOW = 5  # at most
# The process that keeps the lines: it shows them once nobody can write any more.
_KEEPER = "import sys; sys.stderr.buffer.write(sys.stdin.buffer.read())"


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras, if they are not imported yet.

    Raises:
        InputError: they cannot be imported; what they wrote has been shown.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # from then on: errors, no notes and warnings
    with kept_back():
        try:
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
        except Exception as error:  # a broken installation may raise anything
            raise InputError(
                "TensorFlow: expected an installation that can be imported. Received: "
                f"{type(error).__name__}: {brief(error)} (python -c 'import tensorflow' shows where)."
            ) from None


@contextlib.contextmanager
def kept_back() -> Iterator[None]:
    """A block during which file descriptor 2 is kept back, and shown if the block or the process fails.

    Another process keeps it. So it is shown even when the block ends this process, as TensorFlow's import
    does on a CPU that lacks the instructions it was built for. A signal ends the program with its message
    alone.
    """
    if sys.stderr is None:  # closed by the caller: descriptor 2 may be any file
        yield
        return
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
        )
    except OSError:  # no room for another process
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
            os.dup2(shown, 2)  # closes our end of the pipe, on which the keeper shows what it has
            with contextlib.suppress(subprocess.TimeoutExpired):  # another process may hold an end
                keeper.wait(_SECONDS_TO_SHOW)
    os.close(shown)
