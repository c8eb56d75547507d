"""Rows in float64 on the host, block by block: what certificates and separation read, and nothing else.

NumPy alone, so that what checks a solver shares no code with it.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_SMALL = 2**15  # numbers of an array that malloc keeps between two uses (measured with glibc)
_MOST_LOGITS = 2**20  # of many problems in a block
_MOST_ELEMENTS = 2**22  # of a block's rows, or of its logits, that a large gradient may ask for


@dataclasses.dataclass(frozen=True)
class Block:
    """B rows as given: x [B, p], y [B], weight [B] >= 0, offset [B, m or 1], fold [B]."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    fold: np.ndarray


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is to be certified.

    Attributes:
        w: [q, m] the kernel's p rows, and the bias where the model has one (q = p + 1, else q = p).
            Columns of x enter as x - centre.
        centre: [p]; zero without a bias.
        l1, l2: [q, m], 0 for the bias.
        class_weight: [C]. held_out: the fold whose rows do not count, -1 for none.
        latest: rows of later folds do not count.
        positive: with one output, the class against all others; -1 for labels as they are.
        weak: [q, m] bool, an l2 so small that rounding of the gradient hides it; None for nowhere.
    """

    w: np.ndarray
    centre: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    class_weight: np.ndarray
    held_out: int = -1
    latest: int = np.iinfo(np.int32).max
    positive: int = -1
    weak: np.ndarray | None = None

    def weights(self, block: Block) -> np.ndarray:
        """The weights of a block's rows in this problem, [B]; 0 for those held out."""
        use = (block.fold != self.held_out) & (block.fold <= self.latest)
        return np.where(use, block.weight * self.class_weight[block.y], 0.0)

    def labels(self, y: np.ndarray) -> np.ndarray:
        """The classes that the problem tells apart, [B]."""
        return y if self.positive < 0 else (y == self.positive).astype(y.dtype)

    @property
    def has_bias(self) -> bool:
        """Whether w has a row more than there are columns."""
        return len(self.w) > len(self.centre)

    @property
    def constrained(self) -> np.ndarray:
        """[q, m] bool: coefficients whose column of G is fixed by an equation.

        They are those without a penalty, and those of l1 alone that are not zero: at the optimum
        their gradient is -l1 sign(w), and a dual point that says so is the tightest. A weak l2 is taken so
        too, with -l2 w beside it: its conjugate would divide rounding by l2.
        """
        return ~self.with_l2 & ((self.l1 == 0) | (self.w != 0))

    @property
    def with_l2(self) -> np.ndarray:
        """[q, m] bool: coefficients that an l2 bounds."""
        return self.l2 > 0 if self.weak is None else (self.l2 > 0) & ~self.weak


def block_elements(num_features: int, outputs: int, count: int = 1) -> int:
    """Features in a block of rows that `count` problems read.

    A core's cache in float64, or so many that a block's gradient is small; fewer where the logits of many
    problems would take more memory than the rows, or where either would take too much of it.
    """
    enough = max(1, min(4 * outputs, _MOST_ELEMENTS // num_features, _MOST_ELEMENTS // outputs))
    rows = max(2**18 // num_features, enough)
    return num_features * min(rows, max(_MOST_LOGITS // (count * outputs), enough))


class Seen(NamedTuple):
    """A block's rows as k problems see them."""

    which: list[int]  # k problems
    x: np.ndarray  # [B, p] float64, centred
    labels: list[np.ndarray]  # k of [B]
    weight: np.ndarray  # [u, B], the weightings that differ; 0 for rows that do not count
    weighting: np.ndarray  # [k], which of them is a problem's
    logits: np.ndarray  # [k, m, B]


def seen_by(problems: list[Problem], block: Block, only=None) -> Seen:
    """A block's rows, read once for all problems, or `only` some: 50 of them in 5 folds share a product by x.

    Classes come first: sums over them then run along rows, which is how NumPy is fast.
    """
    which = list(range(len(problems))) if only is None else sorted(only)
    mine, centre = [problems[k] for k in which], problems[0].centre
    x = (
        np.subtract(block.x, centre, dtype=np.float64)
        if centre.any()
        else block.x.astype(np.float64, copy=False)
    )
    p = x.shape[1]
    kernels = np.hstack([problem.w[:p] for problem in mine])
    z = (kernels.T @ x.T).reshape(len(which), -1, len(x))
    z += block.offset.T
    for logits, problem in zip(z, mine, strict=True):
        if problem.has_bias:
            logits += problem.w[p][:, None]
    alike = [(problem.held_out, problem.latest, problem.class_weight.tobytes()) for problem in mine]
    distinct = dict(zip(alike, mine, strict=True))
    place = {key: i for i, key in enumerate(distinct)}
    return Seen(
        which,
        x,
        [problem.labels(block.y) for problem in mine],
        np.stack([problem.weights(block) for problem in distinct.values()]),
        np.array([place[key] for key in alike]),
        z,
    )


def few_at_a_time(count: int, num_rows: int) -> Iterator[slice]:
    """Slices of problems such that arrays [slice, num_rows] stay small.

    Memory for larger ones comes from the operating system anew each time, page by page: sigmoids of 50
    problems took 26 ns a number at once, 6 ns by 12.
    """
    size = max(1, _SMALL // num_rows)
    return (slice(a, a + size) for a in range(0, count, size))


def probabilities(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of all classes [C, B], p - e_y of the outputs [m, B], and the loss [B]."""
    if len(z) == 1:
        error, small, loss = sigmoid_terms(z[0], y)
        other = np.abs(error)
        own = np.where(other > 0.5, small, 1.0) / (1 + small)
        p = np.where(y == 1, [other, own], [own, other])
        return p, error[None], loss
    rows = np.arange(len(y))
    shifted = z - z.max(axis=0)
    p = np.exp(shifted)
    total = p.sum(axis=0)
    loss = np.log(total) - shifted[y, rows]
    p /= total
    error = p.copy()
    # p_y - 1 from the other probabilities: it keeps its digits when p_y rounds to 1, where
    # log(total) has lost them too.
    error[y, rows] = 0
    error[y, rows] = -error.sum(axis=0)
    sure = error[y, rows] > -1e-3
    loss[sure] = -np.log1p(error[y[sure], rows[sure]])
    return p, error, loss


def sigmoid_terms(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The error p - y, exp(-|z|) and the loss of one output, each of the shape of z; y is 0 or 1."""
    sign = 1.0 - 2.0 * y
    t = sign * z  # the logit of the other class
    small = np.exp(-np.abs(t))
    error = np.where(t > 0, 1.0, small)
    error /= 1 + small
    error *= sign
    return error, small, np.maximum(t, 0) + np.log1p(small)


def transposed(x: np.ndarray, r: np.ndarray, bias: bool) -> np.ndarray:
    """[X, 1]^T R_k of residuals r [k, m, B]: [k, q, m]."""
    product = (r.reshape(-1, len(x)) @ x).reshape(*r.shape[:2], -1).transpose(0, 2, 1)
    return np.concatenate([product, r.sum(axis=2)[:, None]], axis=1) if bias else product
