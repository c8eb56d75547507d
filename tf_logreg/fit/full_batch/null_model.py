"""Models without features: where a fit starts, and the loss that its gap is compared with."""

import dataclasses

import numpy as np
import scipy.optimize

from tf_logreg.exact import host, sums
from tf_logreg.fit.full_batch.certified import Certified

_LEAST = 1e-8  # nats of a null model, in the unit of gaps


def models(
    certified: Certified, class_weight_sum: np.ndarray, *, offset: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The best models without features: the start of a fit, and the unit of its gap.

    Args:
        certified: the K problems.
        class_weight_sum: sums of row weights by class, [C], or [K, C] where problems differ in their rows.
        offset: whether rows have offsets. The losses include them; the start is the best bias without them.

    Returns:
        w [K, P] and losses [K] in nats; w is zero for models without bias.
    """
    problems = certified.problems
    p, m = problems.shape
    shares = problems.class_weight * class_weight_sum
    own = np.take_along_axis(shares, np.maximum(problems.positive, 0)[:, None], axis=1)
    pairs = np.concatenate([shares.sum(axis=1, keepdims=True) - own, own], axis=1)
    w, null, known = np.zeros((len(shares), p + problems.bias, m)), np.zeros(len(shares)), {}
    for k, positive in enumerate(problems.positive):
        mine = shares[k] if positive < 0 else pairs[k]
        bias, null[k] = of_shares(mine / mine.sum(), m, problems.bias)
        if problems.bias:
            w[k, p] = bias
        if offset:
            key = problems.held_out[k], problems.latest[k]
            if key not in known:
                known[key] = _with_offset(
                    certified.blocks(np.array([k])),
                    certified.problem(np.zeros(w[k].size), k),
                    certified.devices.gather,
                )
            # Of an offset that explains every row it is zero, and rounding above any share of it.
            null[k] = max(known[key], _LEAST)
    return w.reshape(len(w), -1), null


def of_shares(shares: np.ndarray, outputs: int, bias: bool) -> tuple[np.ndarray, float]:
    """The best bias [m] without any feature, zero for a model without bias, and its loss in nats.

    Args:
        shares: [C], of the classes in the weight of the rows.
        outputs: m. bias: whether the model has one.
    """
    if not bias:
        return np.zeros(outputs), float(np.log(len(shares)))
    logs = np.log(shares)
    return logs[1:] - logs[:1] if outputs == 1 else logs - logs.mean(), float(-(shares * logs).sum())


def _with_offset(blocks, problem: host.Problem, gather: sums.Gather) -> float:
    """The loss of the best bias with the offsets, in nats; of bias zero for a model without bias."""

    def bare():
        return (dataclasses.replace(block, x=np.empty((len(block.y), 0))) for block in blocks())

    def value_and_gradient(bias: np.ndarray) -> tuple[float, np.ndarray]:
        at = dataclasses.replace(
            problem, w=bias.reshape(-1, outputs), centre=problem.centre[:0], l1=none, l2=none
        )
        (total,) = sums.first_pass(bare, [at], gather)
        return total.loss, total.gradient.ravel()

    outputs = problem.w.shape[1]
    none = np.zeros((len(problem.w) - len(problem.centre), outputs))
    if not none.size:
        return value_and_gradient(none.ravel())[0]
    return float(scipy.optimize.minimize(value_and_gradient, none.ravel(), jac=True, method="BFGS").fun)
