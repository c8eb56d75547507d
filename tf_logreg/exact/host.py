"""Rows in float64 on the host, block by block: what certificates and separation read, and nothing else.

NumPy alone, so that what checks a solver shares no code with it.
"""

import dataclasses
import functools
import math
import threading

import numpy as np

# Numbers in a block, 4 MiB in float64. Smaller ones fit a core's own cache, but threads wait for Python's
# lock between NumPy's calls: 1 MiB takes half as long again.
_BLOCK = 2**19
_MOST_LOGITS = 2**18  # of many problems in a block
_MOST_MOVED = 10  # outputs, of whose pairs sums over the rows cost no more than another pass
_MOST_ELEMENTS = 2**22  # of a block's rows, or of its logits, that a large gradient may ask for


@dataclasses.dataclass(frozen=True)
class Block:
    """B rows as given: x [B, p], y [B], weight [B] >= 0, offset [B, m or 1], fold [B].

    x is an array, or a `scipy.sparse.csr_array`, which no problem centres.
    """

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
        tight: the dual point moves along coefficients with l2 too, which needs more passes.
        boxed: coefficients of l1 alone have no equation, their box is all that G must keep to: a looser
            bound, far from the optimum the only one.
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
    tight: bool = False
    boxed: bool = False

    def weights(self, block: Block) -> np.ndarray:
        """The weights of a block's rows in this problem, [B]; 0 for those held out."""
        by_class = self.class_weight
        alike = (by_class == by_class[0]).all()
        weight = block.weight * (by_class[0] if alike else by_class[block.y])
        if self.held_out >= 0:
            weight *= block.fold != self.held_out
        if self.latest < np.iinfo(np.int32).max:
            weight *= block.fold <= self.latest
        return weight

    def labels(self, y: np.ndarray) -> np.ndarray:
        """The classes that the problem tells apart, [B]."""
        return y if self.positive < 0 else (y == self.positive).astype(y.dtype)

    @property
    def has_bias(self) -> bool:
        """Whether w has a row more than there are columns."""
        return len(self.w) > len(self.centre)

    @functools.cached_property
    def constrained(self) -> np.ndarray:
        """[q, m] bool: coefficients whose column of G is fixed by an equation.

        They are those without a penalty, and those of l1 alone that are not zero: at the optimum
        their gradient is -l1 sign(w), and a dual point that says so is the tightest. A weak l2 is taken so
        too, with -l2 w beside it: its conjugate would divide rounding by l2.
        """
        return ~self.with_l2 & ((self.l1 == 0) | ((self.w != 0) & (not self.boxed)))

    @functools.cached_property
    def unpenalised(self) -> np.ndarray:
        """[p, m] bool: coefficients of features without a penalty."""
        return ((self.l1 == 0) & (self.l2 == 0))[: len(self.centre)]

    @functools.cached_property
    def moved(self) -> np.ndarray:
        """[q, m] bool: coefficients along which the dual point is moved.

        They are the constrained ones, and of a `tight` problem those with l2, whose penalty is smooth where
        they are not zero, too.
        """
        smooth = self.with_l2 & ((self.l1 == 0) | (self.w != 0))
        return self.constrained | smooth if self.tight else self.constrained

    @functools.cached_property
    def with_l2(self) -> np.ndarray:
        """[q, m] bool: coefficients that an l2 bounds."""
        return self.l2 > 0 if self.weak is None else (self.l2 > 0) & ~self.weak


def pairs(outputs: int) -> int:
    """Number of pairs of classes between which biases move a dual point; 0 where they are too many."""
    return max(1, outputs * (outputs - 1) // 2) if outputs <= _MOST_MOVED else 0


def block_elements(num_features: int, outputs: int, count: int = 1) -> int:
    """Numbers in a block of rows, each of so many, that `count` problems read.

    `_BLOCK`, or so many that a block's sums are small; fewer where the logits of many
    problems would take more memory than the rows, or where either would take too much of it.
    """
    enough = max(
        1, min(4 * (outputs + pairs(outputs)), _MOST_ELEMENTS // num_features, _MOST_ELEMENTS // outputs)
    )
    rows = max(_BLOCK // num_features, enough)
    return num_features * min(rows, max(_MOST_LOGITS // (count * outputs), enough))


_held = threading.local()


def scratch(name: str, *shape: int) -> np.ndarray:
    """This thread's float64 array of a name, of any contents, until the thread asks for that name again.

    Memory for a new array of a block's size comes from the operating system page by page, which takes longer
    than to fill it.
    """
    size = math.prod(shape)
    held = getattr(_held, name, None)
    if held is None or held.size < size:
        held = np.empty(size)
        setattr(_held, name, held)
    return held[:size].reshape(shape)
