"""`Engine`: makes the passes over the rows of a fit. Solvers do not depend on which engine it is."""

import dataclasses
from collections.abc import Callable

import numpy as np

# sums(name, arguments, problems, width, every): the named sums of `objective/row_sums.py` over all rows,
# float64 arrays. `arguments` are arrays [K, ...]; `problems` is a `records.Problems`; `width` is the
# number of intermediate values per row; `every` = 8 reads one block of every eight.
Sums = Callable[..., list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Engine:
    """Passes over some rows.

    Attributes:
        sums: makes a pass.
        on_host: whether passes run on the CPU cores that the solver's own algebra uses.
    """

    sums: Sums
    on_host: bool
