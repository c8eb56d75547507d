"""What a notebook lacks that a terminal has: whether we run in one, and our log lines in its output."""

import contextlib
import logging
import sys
from collections.abc import Iterator

_FORMAT, _TIME = "%(asctime)s %(message)s", "%H:%M:%S"


def is_running() -> bool:
    """Whether this process is the kernel of a notebook, as Jupyter and Colab start one."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextlib.contextmanager
def log_lines(shown: bool) -> Iterator[None]:
    """Prints what this package logs within the block, unless the caller's own logging shows or hides it.

    TensorFlow's own lines, which are for developers and come twice, are left out as on the command line.

    Args:
        shown: whether to print anything.
    """
    ours, tensorflow = logging.getLogger("tf_logreg"), logging.getLogger("tensorflow")
    told = ours.level != logging.NOTSET or ours.handlers or ours.isEnabledFor(logging.INFO)
    if not shown or told:
        yield
        return
    lines = _Lines(sys.stdout)
    lines.setFormatter(logging.Formatter(_FORMAT, _TIME))
    propagate = ours.propagate
    ours.addHandler(lines)
    tensorflow.addFilter(_is_error)  # no level: the import of TensorFlow sets its own
    ours.setLevel(logging.INFO)
    ours.propagate = False  # Colab has a handler of its own for all that is logged: it would show lines twice
    try:
        yield
    finally:
        ours.propagate = propagate
        ours.setLevel(logging.NOTSET)
        tensorflow.removeFilter(_is_error)
        ours.removeHandler(lines)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


class _Lines(logging.StreamHandler):
    """Prints records, but leaves those to the caller's handlers that would reach them anyway."""

    def emit(self, record: logging.LogRecord) -> None:
        root = logging.getLogger()
        if root.handlers and record.levelno >= root.level:
            root.handle(record)
        else:
            super().emit(record)
