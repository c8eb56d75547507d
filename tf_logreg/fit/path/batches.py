"""Number of a path's problems that are solved at once: limited by memory, and by what saves time."""

import logging

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.fit.full_batch import row_space
from tf_logreg.fit.full_batch.memory import bytes_of_problem
from tf_logreg.fit.full_batch.penalized import Penalized

log = logging.getLogger(__name__)

_COLUMNS = 128  # of a product; more columns hardly lower the time per column


def problems_at_once(
    shape: tuple[int, int], bias: bool, memory: float, num_rows: int, *, sparse: bool
) -> int:
    """Number of problems of (p, m) coefficients over n rows, sparse or not, that fit in `memory` bytes.

    Raises:
        InputError: not even one fits.
    """
    needed = bytes_of_problem(*shape, bias, num_rows, sparse=sparse)
    if needed > memory:
        raise InputError(
            f"path: one problem of {shape[0]:,} features and {shape[1]:,} outputs takes about "
            f"{needed / 2**30:.2f} GiB of memory. Received: {memory / 2**30:.2f} GiB for it."
        )
    return int(memory // needed)


def worth_at_once(shape: tuple[int, int], bias: bool, together: int) -> int:
    """Largest number of problems of (p, m) coefficients worth solving at once, `together` per strength."""
    if Penalized.explicit((shape[0] + bias) * shape[1]):
        return np.iinfo(int).max
    return max(together, _COLUMNS // shape[1])


def batches(problems: Penalized, together: int, most: int) -> list[np.ndarray]:
    """Batches of problems that are solved at once.

    Without explicit Hessians, products with a hundred columns take about as long per column as wider ones,
    and a start nearby saves passes: 45 strengths of 4,000 x 64, 20 classes, took 14.4 s all at once (1,215
    passes by all problems together), 11.1 s by 15, 9.3 s by 5 and 13.9 s one by one (480 passes).

    Args:
        problems: K of them.
        together: number of problems per strength.
        most: number of problems that fit in memory.
    """
    count = len(problems.l2)
    # Those of one row space would make it anew in each batch.
    if not row_space.applies(problems):
        most = min(most, worth_at_once(problems.shape, problems.bias, together))
    # Batches hold whole strengths where memory allows, so that each starts near the solution of another.
    size = most // together * together or most
    if size < count:
        log.info("The path's %d problems are solved %d at a time.", count, size)
    return [np.arange(a, min(a + size, count)) for a in range(0, count, size)]
