"""Sums over rows in float64 that certificates and exact gradients start from, shared between workers."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tf_logreg.exact import host, normal_equations, projection
from tf_logreg.exact.host import Block, Problem

# array -> [workers, *shape]: every worker's array, where each reads rows of its own.
Gather = Callable[[np.ndarray], np.ndarray]


def alone(array: np.ndarray) -> np.ndarray:
    """The `Gather` of a process that reads all rows."""
    return array[None]


@dataclasses.dataclass
class Sums:
    """One problem's sums: of weights, of weighted losses over that, and the latter's gradient [q, m].

    onto: the projection onto the equations of the constrained columns, or None.
    magnitude: [q], the weighted mean of |x_j|; 1 for the bias.
    bias_move: [q], by what G falls as a sigmoid's bias moves the dual point: sum_i a_i p_i (1 - p_i) x_i.
    obstacle: why `onto` is None, where it was asked for and there are such columns.
    """

    weight: float = 0.0
    loss: float = 0.0
    gradient: np.ndarray | float = 0.0
    onto: projection.Projection | projection.Triangular | None = None
    magnitude: np.ndarray | float = 0.0
    bias_move: np.ndarray | float | None = None
    obstacle: str = ""


def first_pass(
    blocks: Callable[[], Iterable[Block]],
    problems: list[Problem],
    gather: Gather = alone,
    *,
    project: bool = False,
) -> list[Sums]:
    """Value and gradient of the data term in float64; on demand what the dual point and rounding need."""
    p, num_rows, designs = len(problems[0].centre), 0, {}
    totals = [
        Sums(gradient=np.zeros(one.w.shape), magnitude=np.zeros(p), bias_move=np.zeros(len(one.w)))
        for one in problems
    ]
    # Where the bias is all that has an equation, this pass says what the dual pass would.
    bias_alone = project and all(_only_bias(problem) for problem in problems)

    def part_of(block: Block) -> tuple[int, list[tuple]]:
        which, x, labels, weights, weighting, z = host.seen_by(problems, block)
        if bias_alone:
            both, losses = np.empty((len(which), 2, len(x))), []
            for at in host.few_at_a_time(len(which), len(x)):
                error, small, loss = host.sigmoid_terms(z[at, 0], np.stack(labels[at]))
                weight = weights[weighting[at]]
                losses.extend(np.einsum("kb,kb->k", weight, loss))
                np.multiply(weight, error, out=both[at, 0])
                # p (1 - p) of the other class's probability, without the cancellation of 1 - p.
                np.multiply(weight, small / np.square(1 + small), out=both[at, 1])
            both = host.transposed(x, both, True)
            gradients, moves = both[:, :, :1], both[:, :, 1]
            designs = [None] * len(which)
        else:
            errors, losses, designs = np.empty_like(z), [], []
            for i, k in enumerate(which):
                p, error, loss = host.probabilities(z[i], labels[i])
                weight = weights[weighting[i]]
                np.multiply(weight, error, out=errors[i])
                losses.append(weight @ loss)
                designs.append(normal_equations.design(x, weight, p, problems[k]) if project else None)
            gradients = host.transposed(x, errors, problems[0].has_bias)
            moves = [0.0] * len(which)
        magnitudes = (weights @ np.abs(x))[weighting] if project else [0.0] * len(which)
        sums = weights.sum(axis=1)[weighting]
        return len(block.y), list(
            zip(which, sums, losses, gradients, magnitudes, moves, designs, strict=True)
        )

    for count, found in host.in_parallel(part_of, blocks()):
        num_rows += count
        for k, weight, loss, gradient, magnitude, move, design in found:
            total = totals[k]
            total.weight += weight
            total.loss += loss
            total.gradient += gradient
            total.magnitude += magnitude
            total.bias_move += move
            if design is not None:
                before = designs.get(k)
                designs[k] = (
                    design if before is None else normal_equations.merged(before, design, problems[k])
                )
    num_rows = gather(np.array(num_rows)).sum()
    for k, total in enumerate(totals):
        total.weight, total.loss, total.gradient, total.magnitude, total.bias_move = summed(
            gather, total.weight, total.loss, total.gradient, total.magnitude, total.bias_move
        )
        total.loss, total.gradient = total.loss / total.weight, total.gradient / total.weight
        if project:
            bias = np.ones(len(problems[k].w) - len(total.magnitude))
            total.magnitude = np.append(total.magnitude / total.weight, bias)
        if bias_alone:
            total.onto = projection.decompose(np.sqrt(total.bias_move[-1:, None]), total.weight, problems[k])
        elif project and problems[k].constrained.any():
            total.obstacle = normal_equations.obstacle(problems[k], num_rows)
            if not total.obstacle:
                design = (
                    normal_equations.gathered(designs.get(k), problems[k], gather)
                    if normal_equations.in_blocks(problems[k])
                    else normal_equations.normal_matrix(blocks, problems[k], gather)
                )
                total.onto = projection.decompose(design, total.weight, problems[k])
        total.bias_move = total.bias_move / total.weight if bias_alone else None
    return totals


def summed(gather: Gather, *parts: float | np.ndarray) -> list:
    """Numbers and arrays added over workers, in one message."""
    total = gather(np.concatenate([np.ravel(part) for part in parts])).sum(axis=0)
    ends = np.cumsum([np.size(part) for part in parts])[:-1]
    return [a.reshape(np.shape(part))[()] for a, part in zip(np.split(total, ends), parts, strict=True)]


def _only_bias(problem: Problem) -> bool:
    """Whether a sigmoid's bias is the one constrained coefficient."""
    fixed = problem.constrained
    return bool(problem.has_bias and fixed.shape[1] == 1 and fixed[-1] and not fixed[:-1].any())
