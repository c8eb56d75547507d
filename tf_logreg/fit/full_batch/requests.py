"""Which passes over the rows a fit makes, and of how many rows, by what they take."""

from typing import Any, NamedTuple

# Rows per coefficient in the sample that gives the Hessian, fewest and most; fewer serve where they are
# chosen. Its relative error is about 1 / sqrt(this), and so is the relative error after a Newton step.
_ROWS_PER_COEFFICIENT, _FEWEST_CHOSEN = (100, 400), 20
_PRODUCTS_A_READ = 50  # multiplications of matrices that take as long as reading a number of X for a pass
_HESSIAN_PASSES = 2  # whose time is given to a Hessian
_QUICK = 2**23  # multiplications of a Hessian of all rows, below which nothing is to be saved
ROWS_PER_FEATURE = 16  # in the sample of a Gram matrix


class Request(NamedTuple):
    """Description of a pass over the rows.

    Attributes:
        name: of the sums in `objective/row_sums.py`.
        weights: number of arrays of weights that it takes.
        width: intermediate numbers per row, which determine the size of a block.
        every: the pass reads one block of every `every`.
    """

    name: str
    weights: int
    width: int
    every: int = 1


def request(problems: Any, name: str) -> Request:
    """The request for the pass `name` of the problems of a `Penalized`."""
    (p, m), count, rows = problems.shape, len(problems.l2), problems.num_rows // problems.every
    if name == "value_and_gradient":
        return Request(name, 1, 4 * count * m)
    if name == "hessian_product":
        return Request(name, 2, 6 * count * m)
    if name == "hessian":
        width = 2 * len(set(problems.alike.tolist())) * m * m * (p + 1)
        return Request(name, 1, width, max(1, rows // _rows_of_hessian(problems, rows)))
    if name == "pooled_diagonal":
        return Request(name, 1, 4 * count * m)
    return Request("pooled_gram", 1, 2 * (p + 1), max(1, rows // (ROWS_PER_FEATURE * (p + 1))))


def requests(problems: Any) -> list[Request]:
    """The kinds of passes that a smooth fit of the problems makes."""
    explicit = problems.explicit(problems.size)
    names = ["value_and_gradient", "hessian" if explicit else "hessian_product"]
    if not explicit and not problems.sampled:
        names.append("pooled_gram")
    return [request(problems, name) for name in names]


def hessian_passes(problems: Any) -> float:
    """How many passes a Hessian takes as long as; 0 where nothing is to be saved."""
    if _is_quick(problems):
        return 0.0
    return problems.size * problems.shape[1] / _PRODUCTS_A_READ / request(problems, "hessian").every


def _rows_of_hessian(problems: Any, rows: int) -> int:
    """How many of `rows` a Hessian is made of, or more."""
    fewest, most = (problems.size * each for each in _ROWS_PER_COEFFICIENT)
    if _is_quick(problems):
        return most
    if problems.engine is not None and problems.engine.chosen_among > 1:
        fewest = problems.size * _FEWEST_CHOSEN
    taken = _HESSIAN_PASSES * rows * _PRODUCTS_A_READ // (problems.size * problems.shape[1])
    return min(max(taken, fewest), most)


def _is_quick(problems: Any) -> bool:
    """Whether a Hessian of all rows takes no longer than what a step does beside it."""
    return problems.num_rows // problems.every * problems.size**2 <= _QUICK
