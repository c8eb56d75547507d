"""Dual points: probabilities pi = p (1 - t), moved from the model's own until their equations hold.

With one delta [q, m] for all rows, t = v - p.v and v = [x, 1] delta. Where the biases alone have equations
the sums of the first pass say what the move does; else a pass over the rows does.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tf_logreg.exact import host, logits, projection, sums
from tf_logreg.exact.host import Block, Problem

_ROUNDS = 2  # of corrections, the second of which leaves the rounding of the first
_FAR = 0.1  # a move of the biases beyond which sums over all rows bound the divergence too loosely
_NEAR = 0.01  # a move below which a few terms of a series are as good as its logarithms


@dataclasses.dataclass
class Dual:
    """Sums of a dual point over rows of weights a_i that sum to one.

    delta: [q, m], the move. gradient: G [q, m].
    divergence: of KL(pi || p). most: the largest t.
    lead, doubt, curvature: of log(1 - t_y), 1 - pi_y and (1 - pi_y)^2 / pi_y, for `scaled_divergence`.
    """

    delta: np.ndarray
    gradient: np.ndarray
    divergence: float = 0.0
    most: float = 0.0
    lead: float = 0.0
    doubt: float = 0.0
    curvature: float = 0.0

    def scaled_divergence(self, scale: float, loss: float) -> float:
        """An upper bound on sum a_i KL(scale pi_i + (1 - scale) e_y || p_i).

        It is convex in the scale. Its slope where that is one is known, and its second derivative is largest
        there but for the part of the other classes.

        Args:
            loss: sum a_i KL(e_y || p_i).
        """
        s = 1 - scale
        close = s * self.lead + s**2 / 2 * (self.curvature + self.doubt / scale) if scale > 0 else np.inf
        return scale * self.divergence + min(close, s * loss)


def moved_by_biases(problem: Problem, total: sums.Sums) -> Dual | None:
    """The dual point of biases that alone have equations; None where a pass over the rows must say.

    Their t is within +-(max delta - min delta), and a row's sum_c p t^2 is the sum of
    p_c p_d (delta_c - delta_d)^2 over pairs of classes.
    """
    if total.bias_moves is None:
        return None
    delta, gradient = np.zeros_like(problem.w), total.gradient
    for _ in range(_ROUNDS if problem.constrained.any() else 0):
        residual = projection.residual_of(gradient, problem)
        if not projection.solvable(total.onto, residual, problem):
            return None
        delta = delta + projection.correction(total.onto, residual, problem)
        gradient = total.gradient - sums.by_biases(total.bias_moves, delta[-1])
    most = np.ptp(np.append(delta[-1], 0.0) if problem.w.shape[1] == 1 else delta[-1])
    if not most < _FAR:
        return None
    square = (total.bias_moves[-1] * np.square(sums.differences(delta[-1]))).sum() if most else 0.0
    return Dual(delta, gradient, square * _per_square(most, most), most)


def dual_pass(
    blocks: Callable[[], Iterable[Block]],
    problems: list[Problem],
    totals: list[sums.Sums],
    delta: dict[int, np.ndarray],
    gather: sums.Gather,
) -> dict[int, Dual]:
    """The dual points of some problems by number, from one pass over the rows."""
    duals = {k: Dual(move, np.zeros_like(move)) for k, move in delta.items()}
    view = logits.View([problems[k] for k in delta])
    moves = view.kernels(list(delta.values()))

    def part_of(block: Block) -> tuple[list[tuple], np.ndarray]:
        seen, terms = view.of(block), []
        v = view.products(moves, seen.x, "moves")
        moved = host.scratch("errors", *v.shape)
        for i, k in enumerate(delta):
            y = seen.labels[seen.labelling[i]]
            p, error, _ = logits.probabilities(seen.logits[i], y)
            t = _relative_move(v[i], p)
            share = seen.weight[seen.weighting[i]] / totals[k].weight
            np.multiply(share, error - (p * t)[-len(error) :], out=moved[i])
            terms.append((np.where(share > 0, t.max(axis=0), 0.0).max(initial=0.0), *_terms(p, t, y, share)))
        return terms, logits.transposed(seen.x, moved, problems[0].has_bias).transpose(0, 2, 1)

    for terms, gradients in host.in_parallel(part_of, blocks()):
        for dual, (most, divergence, *rest), gradient in zip(duals.values(), terms, gradients, strict=True):
            dual.most = np.maximum(dual.most, most)  # NaN stays, as `max` would not have it
            dual.divergence += divergence
            dual.gradient += gradient
            dual.lead, dual.doubt, dual.curvature = np.add((dual.lead, dual.doubt, dual.curvature), rest)
    for dual in duals.values():
        names = ("divergence", "gradient", "lead", "doubt", "curvature")
        for name, value in zip(names, sums.summed(gather, *(getattr(dual, n) for n in names)), strict=True):
            setattr(dual, name, value)
        dual.most = gather(np.array(dual.most)).max()
    return duals


def _relative_move(v: np.ndarray, p: np.ndarray) -> np.ndarray:
    """T [C, B] of v = x delta [m, B] (and 0 for class 0 of a sigmoid)."""
    if len(v) == 1:
        return np.stack([-p[1] * v[0], p[0] * v[0]])
    return v - (p * v).sum(axis=0)


def _terms(p: np.ndarray, t: np.ndarray, y: np.ndarray, share: np.ndarray) -> tuple[float, ...]:
    """A block's part of a `Dual`'s divergence, lead, doubt and curvature."""
    rows = np.arange(len(y))
    # Rows that do not count may have left the simplex.
    own = np.minimum(t[y, rows], 1 - 1e-15)
    chance = np.maximum(p[y, rows] * (1 - own), 1e-300)
    other = 1 - chance
    return (
        _divergence(p, t, share),
        share @ np.log1p(-own),
        share @ other,
        share @ (np.square(other) / chance),
    )


def _divergence(p: np.ndarray, t: np.ndarray, share: np.ndarray) -> float:
    """Sum_i share_i KL(p (1 - t) || p), or a little more: of (1 - t) log(1 - t) + t >= 0, as sum p t = 0."""
    most = np.abs(t).max(initial=0.0)
    if most < _NEAR:
        square = p * np.square(t)
        return share @ (square * _per_square(t, most)).sum(axis=0)
    t = np.minimum(t, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(t == 1, 1.0, (1 - t) * np.log1p(-t) + t)
    # The series where the difference cancels.
    value = np.where(np.abs(t) < _NEAR, np.square(t) * _per_square(t, _NEAR), value)
    return share @ (p * value).sum(axis=0)


def _per_square(t, most: float):
    """A bound on ((1 - t) log(1 - t) + t) / t^2 = 1/2 + t/6 + t^2/12 + t^3/20 + ... for |t| <= most < 1."""
    return 0.5 + t / 6 + most**2 / (12 * (1 - most))
