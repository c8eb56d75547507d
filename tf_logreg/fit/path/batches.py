"""How many problems of a path are solved at once: as many as memory holds, and as gain by it."""

import logging

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.fit.full_batch.memory import bytes_of_problem
from tf_logreg.fit.full_batch.penalized import Penalized

log = logging.getLogger(__name__)

_COLUMNS = 128  # of a product, from which on more hardly make a column cheaper


def problems_at_once(shape: tuple[int, int], bias: bool, memory: float, num_rows: int) -> int:
    """How many problems of (p, m) coefficients over n rows have room in so many bytes.

    Raises:
        InputError: not even one.
    """
    needed = bytes_of_problem(*shape, bias, num_rows)
    if needed > memory:
        raise InputError(
            f"path: one problem of {shape[0]:,} features and {shape[1]:,} outputs takes about "
            f"{needed / 2**30:.2f} GiB of memory. Received: {memory / 2**30:.2f} GiB for it."
        )
    return int(memory // needed)


def worth_at_once(shape: tuple[int, int], bias: bool, together: int) -> int:
    """How many problems of (p, m) coefficients gain by being solved at once, `together` of each strength."""
    if Penalized.explicit((shape[0] + bias) * shape[1]):
        return np.iinfo(int).max
    return max(together, _COLUMNS // shape[1])


def batches(problems: Penalized, together: int, most: int) -> list[np.ndarray]:
    """Which problems are solved at once: as many as memory holds, and as gain by it.

    Without explicit Hessians, products with a hundred columns are about as fast a column as wider ones, and
    a start nearby saves passes: 45 strengths of 4,000 x 64, 20 classes, took 14.4 s all at once (1,215
    passes by all problems together), 11.1 s by 15, 9.3 s by 5 and 13.9 s one by one (480 passes).

    Args:
        problems: K of them.
        together: problems of one strength.
        most: how many memory holds.
    """
    count = len(problems.l2)
    most = min(most, worth_at_once(problems.shape, problems.bias, together))
    # Whole strengths at a time where there is room, so that each batch begins near where another ended.
    size = most // together * together or most
    if size < count:
        log.info("The path's %d problems are solved %d at a time.", count, size)
    return [np.arange(a, min(a + size, count)) for a in range(0, count, size)]
