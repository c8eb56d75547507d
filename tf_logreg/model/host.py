"""Rows in float64 on the host, block by block: what certificates and separation read, and nothing else.

NumPy alone, so that what checks a solver shares no code with it.
"""

import collections
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl


@dataclasses.dataclass(frozen=True)
class Block:
    """B rows as given: x [B, p], y [B], weight [B] > 0, offset [B, m or 1], fold [B]."""

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
    """

    w: np.ndarray
    centre: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    class_weight: np.ndarray
    held_out: int = -1

    @property
    def constrained(self) -> np.ndarray:
        """[q, m] bool: coefficients whose column of G is fixed by an equation.

        They are those without a penalty, and those of l1 alone that are not zero: at the optimum
        their gradient is -l1 sign(w), and a dual point that says so is the tightest.
        """
        return (self.l2 == 0) & ((self.l1 == 0) | (self.w != 0))


def block_elements(num_features: int, outputs: int) -> int:
    """Features in a block of rows: a core's cache in float64, or so many that a block's gradient is small."""
    return max(2**18, 4 * outputs * num_features)


def in_parallel(function: Callable, blocks: Iterable[Block]) -> Iterator:
    """function(block) of each block, in order; a core a block, since blocks are small and NumPy lets go."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with threadpoolctl.threadpool_limits(1), ThreadPoolExecutor(cores) as pool:
        waiting = collections.deque()
        for block in blocks:
            waiting.append(pool.submit(function, block))
            # No further ahead than keeps the cores busy: a stream is not read into memory.
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def rows_by_problem(block: Block, problems: list[Problem], only=None):
    """(k, x [B, p] centred float64, y, weights, logits [m, B]) of each problem's own rows of a block.

    Classes come first: sums over them then run along rows, which is how NumPy is fast.
    """
    which = range(len(problems)) if only is None else sorted(only)
    centre = problems[0].centre
    x = (
        np.subtract(block.x, centre, dtype=np.float64)
        if centre.any()
        else block.x.astype(np.float64, copy=False)
    )
    p = x.shape[1]
    kernels = np.hstack([problems[k].w[:p] for k in which])
    z = (kernels.T @ x.T).reshape(len(which), -1, len(x))
    for place, k in enumerate(which):
        problem = problems[k]
        weight = block.weight * problem.class_weight[block.y]
        logits = z[place] + block.offset.T
        if len(problem.w) > p:
            logits += problem.w[p][:, None]
        use = (weight > 0) & (block.fold != problem.held_out)
        if use.all():
            yield k, x, block.y, weight, logits
        else:
            yield k, x[use], block.y[use], weight[use], logits[:, use]


def probabilities(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of all classes [C, B], p - e_y of the outputs [m, B], and the loss [B]."""
    if len(z) == 1:
        sign = 1.0 - 2.0 * y
        t = sign * z[0]  # the logit of the other class
        small = np.exp(-np.abs(t))
        other = np.where(t > 0, 1.0, small) / (1 + small)
        own = np.where(t > 0, small, 1.0) / (1 + small)
        p = np.where(y == 1, [other, own], [own, other])
        return p, (sign * other)[None], np.maximum(t, 0) + np.log1p(small)
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


def transposed(x: np.ndarray, r: np.ndarray, problem: Problem) -> np.ndarray:
    """[X, 1]^T R of r [m, B]: [q, m]."""
    product = (r @ x).T
    return np.vstack([product, r.sum(axis=1)]) if len(problem.w) > x.shape[1] else product
