"""`Engine`: who makes the passes over the rows of a fit. Solvers do not know which one does."""

import dataclasses
from collections.abc import Callable

import numpy as np

# sums(name, arguments, problems, width, every): the named sums of `objective/row_sums.py` over all rows,
# float64 arrays. `arguments` are arrays [K, ...]; `problems` is a `records.Problems`; `width` is how many
# numbers are made a row; `every` = 8 takes one block of eight.
Sums = Callable[..., list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Engine:
    """Passes over some rows.

    Attributes:
        sums: makes one.
        on_host: whether it computes on the cores that the solver's own algebra uses.
    """

    sums: Sums
    on_host: bool
