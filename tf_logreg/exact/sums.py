"""Sums over rows in float64 that certificates and exact gradients start from, shared between workers."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

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

    def add(self, part: "Sums") -> None:
        """Adds those of some rows, before any is divided by the weights."""
        self.weight += part.weight
        self.loss += part.loss
        self.gradient += part.gradient
        self.magnitude += part.magnitude
        self.bias_move += part.bias_move


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

    view = logits.View(problems)

    def part_of(block: Block) -> tuple[int, list[tuple]]:
        seen = view.of(block)
        terms = _terms_and_bias_moves(seen) if bias_alone else _terms_and_designs(seen, problems, project)
        return len(block.y), _parts(seen, *terms, magnitudes=project)

    for count, parts in host.in_parallel(part_of, blocks()):
        num_rows += count
        for k, (part, design) in enumerate(parts):
            totals[k].add(part)
            if design is not None:
                before = designs.get(k)
                designs[k] = (
                    design if before is None else normal_equations.merged(before, design, problems[k])
                )
    num_rows = gather(np.array(num_rows)).sum()
    for k, (total, problem) in enumerate(zip(totals, problems, strict=True)):
        total.weight, total.loss, total.gradient, total.magnitude, total.bias_move = summed(
            gather, total.weight, total.loss, total.gradient, total.magnitude, total.bias_move
        )
        total.loss, total.gradient = total.loss / total.weight, total.gradient / total.weight
        if project:
            bias = np.ones(len(problem.w) - len(total.magnitude))
            total.magnitude = np.append(total.magnitude / total.weight, bias)
        if bias_alone:
            total.onto = projection.decompose(np.sqrt(total.bias_move[-1:, None]), total.weight, problem)
        elif project and problem.constrained.any():
            total.obstacle = normal_equations.obstacle(problem, num_rows)
            if not total.obstacle:
                design = (
                    normal_equations.gathered(designs.get(k), problem, gather)
                    if normal_equations.in_blocks(problem)
                    else normal_equations.normal_matrix(blocks, problem, gather)
                )
                total.onto = projection.decompose(design, total.weight, problem)
        total.bias_move = total.bias_move / total.weight if bias_alone else None
    return totals


def _terms_and_bias_moves(seen: logits.Seen) -> tuple[list, np.ndarray, np.ndarray, list]:
    """Of sigmoids: weighted losses k, gradients [k, q, 1], what the bias moves [k, q]; and no designs."""
    count, num_rows = len(seen.logits), len(seen.x)
    both, losses = host.scratch("errors", count, 2, num_rows), []
    for at in logits.few_at_a_time(count, num_rows):
        error, move = both[at, 0], both[at, 1]
        loss = logits.sigmoid_terms(seen.logits[at, 0], seen.labels[seen.labelling[at]], error, move)
        weight = seen.weight[seen.weighting[at]]
        losses.extend(np.einsum("kb,kb->k", weight, loss))
        error *= weight
        move *= weight
    both = logits.transposed(seen.x, both, True)
    return losses, both[:, :, :1], both[:, :, 1], [None] * count


def _terms_and_designs(
    seen: logits.Seen, problems: list[Problem], project: bool
) -> tuple[list, np.ndarray, list, list]:
    """Weighted losses k, gradients [k, q, m], no bias moves; and k designs, each None but to `project`."""
    errors, losses, designs = host.scratch("errors", *seen.logits.shape), [], []
    for k, problem in enumerate(problems):
        p, error, loss = logits.probabilities(seen.logits[k], seen.labels[seen.labelling[k]])
        weight = seen.weight[seen.weighting[k]]
        np.multiply(weight, error, out=errors[k])
        losses.append(weight @ loss)
        designs.append(normal_equations.design(seen.x, weight, p, problem) if project else None)
    gradients = logits.transposed(seen.x, errors, problems[0].has_bias)
    return losses, gradients, [0.0] * len(losses), designs


def _parts(seen: logits.Seen, losses, gradients, bias_moves, designs, *, magnitudes: bool) -> list[tuple]:
    """The `Sums` and the design of each problem that sees a block."""
    weights = seen.weight.sum(axis=1)[seen.weighting]
    found = [0.0] * len(losses)
    if magnitudes:
        found = (seen.weight @ np.abs(seen.x))[seen.weighting]
    rows = zip(weights, losses, gradients, found, bias_moves, strict=True)
    sums = [
        Sums(weight, loss, gradient, magnitude=magnitude, bias_move=move)
        for weight, loss, gradient, magnitude, move in rows
    ]
    return list(zip(sums, designs, strict=True))


def summed(gather: Gather, *parts: float | np.ndarray) -> list:
    """Numbers and arrays added over workers, in one message."""
    total = gather(np.concatenate([np.ravel(part) for part in parts])).sum(axis=0)
    ends = np.cumsum([np.size(part) for part in parts])[:-1]
    return [a.reshape(np.shape(part))[()] for a, part in zip(np.split(total, ends), parts, strict=True)]


def _only_bias(problem: Problem) -> bool:
    """Whether a sigmoid's bias is the one constrained coefficient."""
    fixed = problem.constrained
    return bool(problem.has_bias and fixed.shape[1] == 1 and fixed[-1] and not fixed[:-1].any())
