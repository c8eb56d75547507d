"""Sums over rows in float64 that certificates and exact gradients start from, shared between workers."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from tf_logreg import machine
from tf_logreg.exact import host, logits, normal_equations, projection
from tf_logreg.exact.host import Block, Problem

# array -> [workers, *shape]: every worker's array, where each reads rows of its own.
Gather = Callable[[np.ndarray], np.ndarray]


def alone(array: np.ndarray) -> np.ndarray:
    """The `Gather` of a process that reads all rows."""
    return array[None]


@dataclasses.dataclass
class Sums:
    """One problem's sums: of weights, of weighted losses over that, and the latter's gradient [q, m].

    onto: the projection onto the equations of the columns that are moved, or None.
    magnitude: [q], the weighted mean of |x_j|; 1 for the bias.
    bias_moves: [q, pairs], by what G falls as the biases move, see `by_biases`; None where it was not summed.
    obstacle: why `onto` is None, where it was asked for and there are such columns.
    num_rows: those that were read, of all workers.
    """

    weight: float
    loss: float
    gradient: np.ndarray
    magnitude: np.ndarray | None = None
    onto: projection.Projection | projection.Triangular | None = None
    bias_moves: np.ndarray | None = None
    obstacle: str = ""
    num_rows: int = 0


class _Part(NamedTuple):
    """A block's sums for k problems."""

    weight: np.ndarray  # [k]
    loss: np.ndarray  # [k]
    products: (
        np.ndarray
    )  # [k, q, m or m + pairs], of [x, 1] with the errors, and with p_c p_d of pairs of classes
    magnitude: np.ndarray  # [k, p or 0]


def first_pass(
    blocks: Callable[[], Iterable[Block]],
    problems: list[Problem],
    gather: Gather = alone,
    *,
    project: bool = False,
) -> list[Sums]:
    """Value and gradient of the data term in float64; on demand what the dual point and rounding need."""
    (q, m), count, p = problems[0].w.shape, len(problems), len(problems[0].centre)
    # Where the biases are all that has equations, this pass says what the dual pass would.
    of_biases = project and all(_biases_at_most(problem) for problem in problems)
    by_matrix = project and not of_biases
    pairs = host.pairs(m) if of_biases else 0
    num_rows, matrices = 0, [None] * count
    whole = _Part(
        np.zeros(count), np.zeros(count), np.zeros((count, q, m + pairs)), np.zeros((count, p * project))
    )
    view = logits.View(problems)

    def part_of(block: Block) -> tuple[int, _Part, list]:
        seen = view.of(block)
        losses, products, found = _products(seen, problems, pairs, by_matrix=by_matrix)
        size = np.zeros((len(seen.weight), 0))
        if project:
            size = logits.transposed(logits.magnitudes(seen.x), seen.weight, False)
        weights = seen.weight.sum(axis=1)[seen.weighting]
        return len(block.y), _Part(weights, losses, products, size[seen.weighting]), found

    for number, part, found in machine.in_parallel(part_of, blocks()):
        num_rows += number
        for total, more in zip(whole, part, strict=True):
            total += more
        matrices = [
            more if total is None else total + more for total, more in zip(matrices, found, strict=True)
        ]
    num_rows = gather(np.array(num_rows)).sum()
    whole = _Part(*summed(gather, *whole))
    bias, totals = np.ones(q - p), []
    for weight, loss, products, magnitude in zip(*whole, strict=True):
        totals.append(Sums(weight, loss / weight, products[:, :m] / weight, num_rows=int(num_rows)))
        if project:
            totals[-1].magnitude = np.append(magnitude / weight, bias)
        if of_biases:
            totals[-1].bias_moves = products[:, m:] / weight
            totals[-1].onto = projection.of_biases(totals[-1].bias_moves, problems[0])
    if by_matrix:
        _project(blocks, problems, totals, matrices, num_rows, gather)
    return totals


def _products(
    seen: logits.Seen, problems: list[Problem], pairs: int, *, by_matrix: bool
) -> tuple[np.ndarray, np.ndarray, list]:
    """Weighted losses [k], products as of a `_Part`, and k normal matrices or None."""
    count, m, num_rows = seen.logits.shape
    losses, matrices, bias = np.zeros(count), [None] * count, problems[0].has_bias
    if m == 1:
        rows = host.scratch("errors", 2, count, num_rows)
        for at in logits.few_at_a_time(count, num_rows):
            error, curvature = rows[:, at]
            labels, weight = seen.labels[seen.labelling[at]], seen.weight[seen.weighting[at]]
            loss = logits.sigmoid_terms(seen.logits[at, 0], labels, error, curvature)
            losses[at] = np.einsum("kb,kb->k", weight, loss)
            error *= weight
            curvature *= weight
        if by_matrix:
            matrices = [
                normal_equations.of_sigmoid(seen.x, *each) for each in zip(rows[1], problems, strict=True)
            ]
        return losses, logits.transposed(seen.x, rows[: 1 + pairs], bias).transpose(1, 2, 0), matrices
    rows = host.scratch("errors", count, m + pairs, num_rows)
    for k, problem in enumerate(problems):
        weight = seen.weight[seen.weighting[k]]
        p, error, loss = logits.probabilities(seen.logits[k], seen.labels[seen.labelling[k]])
        losses[k] = weight @ loss
        np.multiply(weight, error, out=rows[k, :m])
        if pairs:
            at = m
            share = np.multiply(weight, p, out=error)
            for c in range(m - 1):
                np.multiply(share[c], p[c + 1 :], out=rows[k, at : at + m - 1 - c])
                at += m - 1 - c
        if by_matrix:
            matrices[k] = normal_equations.of_softmax(seen.x, weight, p, problem)
    return losses, logits.transposed(seen.x, rows, bias).transpose(0, 2, 1), matrices


def by_biases(moves: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """By what G falls, [q, m], as the biases move the dual point by delta [m].

    Of two classes sum_i a_i x_i p_c p_d (delta_c - delta_d) goes from one to the other.

    Args:
        moves: [q, pairs], sum_i a_i x_i p_c p_d of each pair in `projection.signs`.
    """
    signs = projection.signs(len(delta))
    return (moves * (signs @ delta)) @ signs


def _project(
    blocks, problems: list[Problem], totals: list[Sums], matrices: list, num_rows: int, gather
) -> None:
    """Sets the projection of each problem, or why there is none."""
    narrow = []
    for k, (problem, total) in enumerate(zip(problems, totals, strict=True)):
        if not problem.moved.any():
            continue
        total.obstacle = normal_equations.obstacle(problem, num_rows)
        if total.obstacle:
            continue
        if normal_equations.in_blocks(problem):
            matrix = normal_equations.gathered(matrices[k], problem, gather)
        else:
            matrix = normal_equations.in_place(blocks, problem, gather)
        small = normal_equations.by_qr(problem)
        with machine.blas_threads(float(len(matrix)) ** 3):
            total.onto = projection.of_matrix(matrix, total.weight, problem)
        if small and projection.is_narrow(total.onto, problem):
            narrow.append(k)
    if narrow:
        roots = normal_equations.roots(blocks, [problems[k] for k in narrow], gather)
        with machine.one_blas_thread():
            for k, root in zip(narrow, roots, strict=True):
                totals[k].onto = projection.of_root(root, totals[k].weight)


def summed(gather: Gather, *parts: float | np.ndarray) -> list:
    """Numbers and arrays added over workers, in one message."""
    total = gather(np.concatenate([np.ravel(part) for part in parts])).sum(axis=0)
    ends = np.cumsum([np.size(part) for part in parts])[:-1]
    return [a.reshape(np.shape(part))[()] for a, part in zip(np.split(total, ends), parts, strict=True)]


def _biases_at_most(problem: Problem) -> bool:
    """Whether no coefficient but biases has an equation, and there are few outputs."""
    return not problem.moved[: len(problem.centre)].any() and host.pairs(problem.w.shape[1]) > 0
