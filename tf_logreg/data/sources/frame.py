"""Rows of a data frame, which `tf_logreg.train` is given: there is nothing to read them from again."""

from tf_logreg.errors import InputError
from tf_logreg.tables.table import Table

VERSION = 1  # that `digest.of_arrays` records of a frame: what has changed is told by what it held


def load() -> Table:
    """Refuses: a frame is handed over, not read.

    Raises:
        InputError: always.
    """
    raise InputError(
        "data.source: expected rows that can be read. Received: 'frame', a data frame that tf_logreg.train "
        "was given in Python. Give --data or --config to measure the run on other rows."
    )
