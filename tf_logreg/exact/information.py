"""The information matrix, scores and their products, summed over the rows in float64 for standard errors.

A model here is coefficients theta [q, J] of columns [(x - centre) * scale, 1]; the last row is the bias where
there is one. Of C > 2 classes J = C - 1, each against a reference class, whose coefficients are zero; of two
J = 1. Matrices are over theta by output: place j * q + i for column i of output j.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
import scipy.linalg
import scipy.sparse

from tf_logreg import machine
from tf_logreg.exact import logits, sums
from tf_logreg.exact.host import Block

_ELEMENTS = 2**18  # numbers in a block of rows, or of their scores: what a core's cache holds in float64


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns a model has.

    Attributes:
        features: [f] indices of the columns of x.
        centre, scale: [f] of these.
        bias: whether there is a column of ones.
        reference: the class without coefficients, 0..C-1; of two classes 0.
    """

    features: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    bias: bool
    reference: int = 0

    @property
    def size(self) -> int:
        """q, coefficients of an output."""
        return len(self.features) + self.bias

    def of(self, x: np.ndarray | scipy.sparse.csr_array) -> np.ndarray:
        """[B, q] float64 of raw rows [B, p]."""
        found = np.ones((x.shape[0], self.size))
        some = x if len(self.features) == x.shape[1] else x[:, self.features]
        some = some.toarray() if scipy.sparse.issparse(some) else some
        inside = found[:, : len(self.features)]
        np.subtract(some, self.centre, out=inside, dtype=np.float64)
        inside *= self.scale
        return found


@dataclasses.dataclass(frozen=True)
class Sums:
    """Sums over the rows.

    Attributes:
        loss: of the log losses, nats: minus the log likelihood.
        score: [J q], the gradient of the log likelihood.
        information: [J q, J q], minus its Hessian.
        num_rows: those with a weight. num_groups: those with such rows; 0 where they were not asked for.
        meat: [J q, J q], the sum of products of scores, by row or by group; None where it was not asked for.
    """

    loss: float
    score: np.ndarray
    information: np.ndarray
    num_rows: int
    num_groups: int = 0
    meat: np.ndarray | None = None


def of_rows(
    blocks: Iterable[Block],
    theta: np.ndarray,
    columns: Columns,
    gather: sums.Gather = sums.alone,
    *,
    power: int = 0,
    num_groups: int = 0,
) -> Sums:
    """All sums of a model.

    Args:
        blocks: the rows; `fold` is a row's group. A weight counts as so many rows.
        theta: [q, J].
        columns: that theta is of.
        gather: adds over workers, as in `sums`.
        power: of the weights in the products of scores by row: 1 if a weight counts as so many rows, 2
            if it is that of one row in a sample; 0 for no such products.
        num_groups: groups whose scores are added before they are multiplied; 0 for each row by itself.
    """
    size = theta.size
    loss, score, information, count = 0.0, np.zeros(size), np.zeros((size, size)), 0.0
    seen = np.zeros(num_groups)
    meat = np.zeros((size, size) if power and not num_groups else (num_groups, size))

    def part_of(block: Block) -> tuple:
        x, weight = columns.of(block.x), block.weight.astype(np.float64)
        p, error, losses = _chances(x, theta, block, columns)
        gradient = -(weight * error) @ x
        more = None
        if power:
            rows = more = _scores(x, error)
            if not num_groups:
                more = rows.T @ (rows * (weight**power)[:, None])
        return (
            float(weight @ losses),
            gradient.ravel(),
            _information(x, p, weight),
            (more, weight, block.fold),
        )

    for found in machine.in_parallel(part_of, blocks):
        loss += found[0]
        score += found[1]
        information += found[2]
        more, weight, group = found[3]
        count += np.count_nonzero(weight)
        if num_groups:
            seen += np.bincount(group, weight > 0, num_groups)
            np.add.at(meat, group, more * weight[:, None])
        elif power:
            meat += more
    loss, score, information, count, seen, meat = sums.summed(
        gather, loss, score, information, count, seen, meat
    )
    if num_groups:
        meat = meat.T @ meat
    groups = int(np.count_nonzero(seen))
    return Sums(float(loss), score, information, int(count), groups, meat if power else None)


def rows_in_block(num_features: int, size: int) -> int:
    """Rows in a block; of `size` coefficients its products cost no more than their sum over blocks does."""
    return max(_ELEMENTS // max(num_features, size), size // 4, 8)


def _chances(
    x: np.ndarray, theta: np.ndarray, block: Block, columns: Columns
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities [J + 1, B] with those of the reference last, p - e_y [J, B], losses [B]."""
    own = (x @ theta).T
    offset = np.broadcast_to(block.offset.T, (block.offset.shape[1], len(block.y))).astype(np.float64)
    if theta.shape[1] == 1 and offset.shape[0] == 1:
        p, error, losses = logits.probabilities(own + offset, block.y)
        return p[::-1], error, losses
    z = np.insert(own, columns.reference, 0.0, axis=0) + offset
    p, error, losses = logits.probabilities(z, block.y)
    order = np.delete(np.arange(len(p)), columns.reference)
    return p[[*order, columns.reference]], error[order], losses


def _information(x: np.ndarray, p: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """sum_i weight (diag p - p p^T) of the outputs, by x_i x_i^T: [J q, J q]."""
    outputs, q = len(p) - 1, x.shape[1]
    whole = np.empty((outputs, q, outputs, q))
    for a in range(outputs):
        for b in range(a + 1):
            if a == b:
                # p (1 - p) from the others' sum and not p - p^2, which cancels.
                by = p[a] * np.delete(p, a, axis=0).sum(axis=0)
                rows = x * np.sqrt(weight * by)[:, None]
                whole[a, :, a] = rows.T @ rows  # half the work of a product of two
            else:
                whole[a, :, b] = -(x.T @ (x * (weight * p[a] * p[b])[:, None]))
                whole[b, :, a] = whole[a, :, b].T
    return whole.reshape(outputs * q, outputs * q)


def _scores(x: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Each row's gradient of its log likelihood, [B, J q]."""
    return -(error.T[:, :, None] * x[:, None, :]).reshape(len(x), -1)


def inverse(information: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of an information matrix on what it determines, and what it does not.

    Args:
        information: [Q, Q].
        least: share of a combination of columns, each of information one, below which it counts as none.

    Returns:
        [Q, Q], the inverse where the matrix has full rank, else the pseudo-inverse of columns of information
        one; and the null directions [k, Q], of length one in such columns.
    """
    size = np.sqrt(np.diag(information))
    unit = 1 / np.where(size > 0, size, 1)
    values, vectors = scipy.linalg.eigh(information * np.outer(unit, unit))
    kept = values > least
    half = vectors[:, kept] / np.sqrt(values[kept])
    return (half @ half.T) * np.outer(unit, unit), vectors[:, ~kept].T
