"""Memory that a fit needs beside the rows, in bytes."""

from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.fit.full_batch import preconditioner, row_space, sample, working_columns
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.model.head import Head
from tf_logreg.solvers import load as solvers

_BLOCK_ROWS = 64  # the fewest in a block of a pass
_EVERYWHERE = 2**24  # bytes that any host has: to ask the system takes as long as a step of a small fit


def check(method: str, head: Head, dataset: Dataset, devices: Devices, *, bias: bool) -> None:
    """Checks, before a fit, that every host has the memory that it needs beside the rows.

    Raises:
        InputError: a host has too little.
    """
    p, rows = dataset.num_features, len(dataset.train)
    needed = 8.0 * 40 * head.outputs * (p + 1)  # gradients, and their history
    if solvers.load(method).USES_HESSIAN:
        needed = head.num_problems * bytes_of_problem(
            p, head.outputs_of_problem, bias, rows, sparse=dataset.source.sparse
        )
        needed += 0 if dataset.source.sparse else 8 * p * sample.size(rows, p)
    size = (p + bias) * head.outputs_of_problem
    if solvers.load(method).TAKES_L1 and (size > rows or not Penalized.explicit(size)):
        needed += working_columns.bytes_of_copy(rows, size, sparse=dataset.source.sparse)
    if needed < _EVERYWHERE:
        return
    if needed > (free := devices.host_memory):
        raise InputError(
            f"x: a full-batch fit of {p:,} features and {head.outputs:,} outputs takes about "
            f"{needed / 2**30:.1f} GiB of memory beside the rows. Received: {free / 2**30:.1f} GiB free. "
            "Take fewer features or classes, or solver.name='minibatch'."
        )


def bytes_of_problem(p: int, m: int, bias: bool, num_rows: int, *, sparse: bool = False) -> float:
    """Estimated bytes of one more problem: its solver's state, its sums, a block's intermediates."""
    size, outputs = (p + bias) * m, min(m, preconditioner.MOST_FACTORS)
    rows = sample.size(num_rows, p)
    if Penalized.explicit(size):
        curvature = 4 * size**2
    elif sparse:  # diagonals
        curvature = 4 * size
    elif rows:  # the products [s, s] of the sampled rows, and their factors
        curvature = (2 + outputs) * rows**2
    else:
        curvature = (2 + outputs) * (p + 1) ** 2  # the sums, the matrix and its factors
    if num_rows <= min(p, row_space.MOST_ROWS) and not sparse:  # it may be solved in its rows' space
        curvature = max(curvature, 3 * num_rows**2)
    return 8.0 * (16 * size + curvature + 6 * m * _BLOCK_ROWS)
