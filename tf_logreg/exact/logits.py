"""Logits of a block's rows for K problems at once, and what follows: losses, errors, sums over rows.

Classes come first: sums over them then run along rows, which is how NumPy is fast. Arrays of a block's size
are the thread's own (`host.scratch`) and are changed in place.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse

from tf_logreg.exact import host
from tf_logreg.exact.host import Block, Problem

_SMALL = 2**15  # numbers of an array that malloc keeps between two uses (measured with glibc)
_LONG = 4096  # numbers that NumPy subtracts in one go


class Seen(NamedTuple):
    """A block's rows as k problems see them; it holds until the thread sees its next block."""

    x: np.ndarray  # [B, p] float64, centred; sparse rows as they are
    labels: np.ndarray  # [d, B], the labellings that differ
    labelling: np.ndarray  # [k], which of them is a problem's
    weight: np.ndarray  # [u, B], the weightings that differ; 0 for rows that do not count
    weighting: np.ndarray  # [k], which of them is a problem's
    logits: np.ndarray  # [k, m, B]


class View:
    """What k problems over the same rows share: 50 of them in 5 folds take one product by x."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        self._centre = problems[0].centre if problems[0].centre.any() else None
        self._labels, self.labelling = _distinct([one.positive for one in problems])
        self._weights, self.weighting = _distinct(
            [(one.held_out, one.latest, one.class_weight.tobytes()) for one in problems]
        )
        self._kernels = self.kernels([one.w for one in problems])

    def of(self, block: Block) -> Seen:
        """A block's rows, read once for all problems."""
        x = _float64(block.x) if self._centre is None else _centred(block.x, self._centre)
        z = self.products(self._kernels, x, "logits")
        z += block.offset.T
        labels = np.stack([self.problems[k].labels(block.y) for k in self._labels])
        weight = np.stack([self.problems[k].weights(block) for k in self._weights])
        return Seen(x, labels, self.labelling, weight, self.weighting, z)

    def kernels(self, w: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """Weights of the problems, k of [q, m], as `products` takes them."""
        p, m = len(self.problems[0].centre), w[0].shape[1]
        bias = np.array([one[p] for one in w]).reshape(-1, m, 1) if self.problems[0].has_bias else None
        return np.concatenate([one[:p].T for one in w]), bias

    def products(self, kernels: tuple[np.ndarray, np.ndarray | None], x: np.ndarray, name: str) -> np.ndarray:
        """[x, 1] w of each problem, [k, m, B], in the thread's array `name`."""
        kernel, bias = kernels
        k = len(self.problems)
        z = host.scratch(name, k, len(kernel) // k, x.shape[0])
        by_output = z.reshape(len(kernel), x.shape[0])
        if not kernel.any():  # as of a move of the biases alone
            by_output[:] = 0
        elif scipy.sparse.issparse(x):
            for one, found in zip(kernel, by_output, strict=True):
                found[:] = x @ np.ascontiguousarray(one)
        else:
            np.dot(kernel, x.T, out=by_output)
        if bias is not None:
            z += bias
        return z


def _distinct(keys: list) -> tuple[list[int], np.ndarray]:
    """Where each distinct key is first, and which of these each key is."""
    place = {}
    which = np.array([place.setdefault(key, len(place)) for key in keys])
    return [keys.index(key) for key in place], which


def _like(x: np.ndarray) -> np.ndarray:
    """The thread's array for rows [B, p], in the order in which they lie in memory."""
    by_row = x.strides[1] <= x.strides[0]
    return host.scratch("x", *x.shape) if by_row else host.scratch("x", *x.shape[::-1]).T


def _float64(x: np.ndarray) -> np.ndarray:
    """Rows [B, p] in float64, where they are if that is what they are."""
    if x.dtype == np.float64 or scipy.sparse.issparse(x):
        return x.astype(np.float64, copy=False)
    found = _like(x)
    np.copyto(found, x)
    return found


def _centred(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Rows [B, p] - centre [p] in float64."""
    found = _like(x)
    np.copyto(found, x)
    # Several rows at a time: NumPy starts anew for each row, which takes as long as to subtract 30 numbers.
    several = max(1, min(len(x), 1 + _LONG // len(centre))) if found.flags.c_contiguous else 1
    whole = len(x) // several * several
    many = found[:whole].reshape(-1, several * len(centre)) if several > 1 else found[:whole]
    many -= np.tile(centre, several)
    found[whole:] -= centre
    return found


def magnitudes(x: np.ndarray) -> np.ndarray:
    """|x| [B, p]."""
    return abs(x) if scipy.sparse.issparse(x) else np.abs(x, out=host.scratch("magnitudes", *x.shape))


def few_at_a_time(count: int, num_rows: int) -> Iterator[slice]:
    """Slices of problems such that arrays [slice, num_rows] stay small.

    Memory for larger ones comes from the operating system anew each time, page by page: sigmoids of 50
    problems took 26 ns a number at once, 6 ns by 12.
    """
    size = max(1, _SMALL // num_rows)
    return (slice(a, a + size) for a in range(0, count, size))


def sigmoid_terms(z: np.ndarray, y: np.ndarray, error: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The loss of one output; and p - y in `error`, p (1 - p) in `curvature`. All of the shape of z.

    Args:
        z: logits, which are overwritten. y: 0 or 1.
    """
    sign = 1.0 - 2.0 * y
    z *= sign  # the logit of the other class
    np.copysign(z, -1.0, out=curvature)
    small = np.exp(curvature, out=curvature)  # exp(-|z|)
    loss = np.log1p(small)
    # The other class's probability is 1 / (1 + small) where its logit is above zero, else small times that.
    np.greater(z, 0, out=error)
    np.maximum(error, small, out=error)
    own = np.reciprocal(1 + small)
    error *= own
    error *= sign
    # Without the cancellation of 1 - p.
    curvature *= own
    curvature *= own
    loss += np.maximum(z, 0, out=z)
    return loss


def own_class(other: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The probability of a row's own class, from the other's and their product."""
    return np.where(other > 0.5, curvature / np.maximum(other, 0.5), 1 - other)


def probabilities(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of all classes [C, B], p - e_y of the outputs [m, B], and the loss [B].

    Args:
        z: logits [m, B], which are overwritten. y: [B].
    """
    if len(z) == 1:
        error, curvature = np.empty((2, len(y)))
        loss = sigmoid_terms(z[0], y, error, curvature)
        other = np.abs(error)
        own = own_class(other, curvature)
        p = np.where(y == 1, [other, own], [own, other])
        return p, error[None], loss
    rows = np.arange(len(y))
    z -= z.max(axis=0)
    p = np.exp(z)
    total = p.sum(axis=0)
    loss = np.log(total) - z[y, rows]
    p /= total
    error = p.copy()
    # p_y - 1 from the other probabilities: it keeps its digits when p_y rounds to 1, where
    # log(total) has lost them too.
    error[y, rows] = 0
    error[y, rows] = -error.sum(axis=0)
    sure = error[y, rows] > -1e-3
    loss[sure] = -np.log1p(error[y[sure], rows[sure]])
    return p, error, loss


def transposed(x: np.ndarray, r: np.ndarray, bias: bool) -> np.ndarray:
    """[X, 1]^T r of rows r [.., B]: [.., q]."""
    rows, p = r.reshape(-1, x.shape[0]), x.shape[1]
    found = np.empty((len(rows), p + bias))
    if scipy.sparse.issparse(x):
        by_column = x.T
        for one, sums in zip(rows, found, strict=True):
            sums[:p] = by_column @ np.ascontiguousarray(one)
    else:
        found[:, :p] = np.dot(rows, x)
    if bias:
        rows.sum(axis=1, out=found[:, p])
    return found.reshape(*r.shape[:-1], -1)
