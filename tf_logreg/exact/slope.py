"""The slope of a problem's smooth part at w, and by how much rounding may have moved it."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tf_logreg import machine
from tf_logreg.exact import logits, sums
from tf_logreg.exact.host import Block, Problem

_EPS = np.finfo(np.float64).eps
SUMS, LOGITS = 16, 2  # units of the last digit that sums and logits may be off


@dataclasses.dataclass(frozen=True)
class Slope:
    """The gradient of a problem's smooth part at w.

    Attributes:
        gradient: [q, m]. doubt: [q, m], by how much rounding may have moved it.
        weight: the sum of the rows' weights.
    """

    gradient: np.ndarray
    doubt: np.ndarray
    weight: float


def slopes(
    blocks: Callable[[], Iterable[Block]], problems: list[Problem], gather: sums.Gather = sums.alone
) -> list[Slope]:
    """Slopes of K problems, from a pass over all rows; arguments are those of `distance.distances`."""
    view, bias, m = logits.View(problems), problems[0].has_bias, problems[0].w.shape[1]

    def part_of(block: Block) -> tuple[np.ndarray, np.ndarray]:
        seen = view.of(block)
        size, found = logits.magnitudes(seen.x), []
        for k, problem in enumerate(problems):
            weight = seen.weight[seen.weighting[k]]
            p, error, _ = logits.probabilities(seen.logits[k], seen.labels[seen.labelling[k]])
            most = np.abs(problem.w).max(axis=1)
            reach = size @ most[: seen.x.shape[1]] + np.abs(block.offset).max(axis=1) + most[-1] * bias
            doubt = weight * (SUMS * np.abs(error) + 2 * LOGITS * reach * (p * (1 - p))[-m:])
            parts = logits.transposed(seen.x, weight * error, bias), logits.transposed(size, doubt, bias)
            found.append(np.stack(parts))
        return np.stack(found), seen.weight.sum(axis=1)[seen.weighting]

    whole, weight = np.zeros((len(problems), 2, m, len(problems[0].w))), np.zeros(len(problems))
    for part, more in machine.in_parallel(part_of, blocks()):
        whole += part
        weight += more
    whole, weight = sums.summed(gather, whole, weight)
    found = []
    for problem, (gradient, doubt), total in zip(problems, whole.transpose(0, 1, 3, 2), weight, strict=True):
        gradient = gradient / total
        if m > 1:  # what is the same in all outputs is rounding
            gradient = gradient - gradient.mean(axis=1, keepdims=True)
        found.append(Slope(gradient + problem.l2 * problem.w, _EPS * doubt / total, float(total)))
    return found
