"""`Engine`: makes the passes over the rows of a fit. Solvers do not depend on which engine it is."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tf_logreg.objective.records import Rows

# sums(name, arguments, problems, width, every): the named sums of `objective/row_sums.py` over all rows,
# float64 arrays. `arguments` are arrays [K, ...]; `problems` is a `records.Problems`; `width` is the
# number of intermediate values per row; `every` = 8 reads one block of every eight, or more where a Hessian
# chooses its rows.
Sums = Callable[..., list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Held:
    """All n rows of a fit in this process' memory.

    Attributes:
        rows: as they lie; x [n, p] is in columns of its own.
        columns: (slice of the columns, factors [width]) -> their training columns times these, a new array
            [n, width] float64.
    """

    rows: Rows
    columns: Callable[[slice, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Engine:
    """Passes over some rows.

    Attributes:
        sums: makes a pass.
        on_host: whether passes run on the CPU cores that the solver's own algebra uses.
        held: the rows themselves; None where they are on devices, streamed, or shared between workers.
        chosen_among: of how many rows at most a Hessian chooses one; its pass reads so many times more.
        one_in: (every) -> the same passes over a copy of the rows that `every` reads; None on devices.
        sparse: whether rows are sparse; there is no 'pooled_gram' then, but a 'pooled_diagonal'.
        exact: whether sums are in float64, over training columns in float64: as good as a certificate's.
    """

    sums: Sums
    on_host: bool
    held: Held | None = None
    chosen_among: int = 1
    one_in: Callable[[int], "Engine"] | None = None
    sparse: bool = False
    exact: bool = False
