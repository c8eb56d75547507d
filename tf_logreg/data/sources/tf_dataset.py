"""Rows of a `tf.data.Dataset`, which `tf_logreg.train` is given: there is nothing to read them from again."""

from tf_logreg.data.source import Source
from tf_logreg.errors import InputError

VERSION = 1  # that `digest.of_arrays` records of arrays: what has changed is told by what they held


def load() -> Source:
    """Refuses: a dataset is handed over, not read.

    Raises:
        InputError: always.
    """
    raise InputError(
        "data.source: expected rows that can be read. Received: 'tf_dataset', a tf.data.Dataset that "
        "tf_logreg.train was given in Python. Give --config to measure the run on other rows."
    )
