"""Dual points: probabilities pi = p (1 - t), moved from the model's own until their equations hold.

With one delta [q, m] for all rows, t = v - p.v and v = [x, 1] delta. Where the biases alone have equations
the sums of the first pass say what the move does; else a pass over the rows does.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tf_logreg import machine
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
    with np.errstate(over="ignore", invalid="ignore"):  # a move that is not finite is none
        for _ in range(_ROUNDS if problem.constrained.any() else 0):
            residual = projection.residual_of(gradient, problem)
            if not projection.solvable(total.onto, residual, problem):
                return None
            delta = delta + projection.correction(total.onto, residual, problem)
            gradient = total.gradient - sums.by_biases(total.bias_moves, delta[-1])
        apart = projection.signs(delta.shape[1]) @ delta[-1]
        most = np.abs(apart).max()
    if not most < _FAR:
        return None
    square = total.bias_moves[-1] @ np.square(apart) if most else 0.0
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

    weights = np.array([totals[k].weight for k in delta])

    def part_of(block: Block) -> tuple[np.ndarray, np.ndarray]:
        seen = view.of(block)
        v = view.products(moves, seen.x, "moves")
        moved = host.scratch("errors", *v.shape)
        terms = (_of_sigmoids if v.shape[1] == 1 else _of_softmaxes)(seen, v, weights, moved)
        return terms, logits.transposed(seen.x, moved, problems[0].has_bias).transpose(0, 2, 1)

    for terms, gradients in machine.in_parallel(part_of, blocks()):
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


def _of_sigmoids(seen: logits.Seen, v: np.ndarray, weights: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Fills `moved` [k, 1, B] with a_i u_i.

    Returns:
        [k, 5]: the largest t of these rows, and their part of a `Dual`'s divergence, lead, doubt, curvature.
    """
    terms = np.empty((len(v), 5))
    for at in logits.few_at_a_time(len(v), v.shape[2]):
        y, move, error = seen.labels[seen.labelling[at]], v[at, 0], moved[at, 0]
        curvature = np.empty_like(error)
        logits.sigmoid_terms(seen.logits[at, 0], y, error, curvature)
        share = seen.weight[seen.weighting[at]] / weights[at, None]
        other = np.abs(error)
        own, t_own, t_other = logits.own_class(other, curvature), -move * error, move * (1 - 2.0 * y - error)
        reach = np.abs(move).max(initial=0.0)
        divergence = own * _entropy_term(t_own, reach) + other * _entropy_term(t_other, reach)
        terms[at] = _terms(share, np.maximum(t_own, t_other), divergence, own, t_own).T
        curvature *= move
        error -= curvature
        error *= share
    return terms


def _of_softmaxes(seen: logits.Seen, v: np.ndarray, weights: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The same for several outputs, [k, m, B]."""
    terms, rows = np.empty((len(v), 5)), np.arange(v.shape[2])
    for k, move in enumerate(v):
        y = seen.labels[seen.labelling[k]]
        p, error, _ = logits.probabilities(seen.logits[k], y)
        move -= (p * move).sum(axis=0)
        share = seen.weight[seen.weighting[k]] / weights[k]
        divergence = (p * _entropy_term(move, np.abs(move).max(initial=0.0))).sum(axis=0)
        terms[k] = _terms(share, move.max(axis=0), divergence, p[y, rows], move[y, rows])
        p *= move
        np.multiply(share, error - p, out=moved[k])
    return terms


def _terms(share, most, divergence, own, t) -> np.ndarray:
    """What `_of_sigmoids` returns of one problem, [5], or several, [5, k]; all arguments are [.., B].

    Args:
        share: a_i. most, divergence: the largest t and KL(pi || p) of each row. own, t: p_y and t_y.
    """
    t = np.minimum(t, 1 - 1e-15)  # rows that do not count may have left the simplex
    chance = np.maximum(own * (1 - t), 1e-300)
    other = 1 - chance
    return np.array(
        [
            np.where(share > 0, most, 0.0).max(axis=-1, initial=0.0),
            *(
                (share * each).sum(axis=-1)
                for each in (divergence, np.log1p(-t), other, np.square(other) / chance)
            ),
        ]
    )


def _entropy_term(t: np.ndarray, most: float) -> np.ndarray:
    """(1 - t) log(1 - t) + t >= 0, or little more; with weights p it sums to KL(p (1 - t) || p).

    Args:
        most: the largest |t|, or more.
    """
    if most < _NEAR:
        return np.square(t) * _per_square(t, most)
    t = np.minimum(t, 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = np.where(t == 1, 1.0, (1 - t) * np.log1p(-t) + t)
        # The series where the difference cancels; elsewhere it may overflow.
        return np.where(np.abs(t) < _NEAR, np.square(t) * _per_square(t, _NEAR), value)


def _per_square(t, most: float):
    """A bound on ((1 - t) log(1 - t) + t) / t^2 = 1/2 + t/6 + t^2/12 + t^3/20 + ... for |t| <= most < 1."""
    return 0.5 + t / 6 + most**2 / (12 * (1 - most))
