"""The bootstrap of a fit: R fits to rows that are drawn again, as one batch over one X.

The weights of a row are Poisson, one draw a replicate (`draws`). Penalties and the standardisation of columns
are those of the fit, where all replicates start. Where rows are many, its Hessian is about that of every
replicate, so that each step leaves a small part of the distance; else each takes Newton's steps by its own.
"""

import dataclasses
import logging

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import machine
from tf_logreg.data import moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.exact import metric
from tf_logreg.fit.bootstrap import steps
from tf_logreg.fit.bootstrap.passes import Beside, Passes
from tf_logreg.fit.full_batch import optimum
from tf_logreg.fit.task import Task
from tf_logreg.model import head as heads
from tf_logreg.model.bootstrap import Bootstrap
from tf_logreg.model.model import Model

log = logging.getLogger(__name__)

MOST_COEFFICIENTS = 2000
_ROWS_TO_SHARE = 300  # a coefficient, from which replicates share the fit's Hessian
_IN_FLOAT64 = 1e7  # rows times replicates times outputs, up to which passes are in float64
_KEPT = 0.1  # of the memory for draws, a byte each
_MATRICES = 3  # Hessians of each replicate, in memory at once
_NEAR = 0.01  # of a standard error, from the optimum of a replicate
_MOST_STEPS, _SHORTEST = 50, 2.0**-10
_FEW_OPERATIONS, _MOST_OPERATIONS = 2e10, 1e11  # to bound the distances to the optima
_SOME_ROWS = 20  # a coefficient, at least
_SUMS = 2  # units of the last digit that sums may be off by


@dataclasses.dataclass
class _Replicates:
    """R problems in training columns.

    Attributes:
        passes: over the rows.
        l1, l2: [P] by coefficient. start: [q, m], the fit. free: [q] bool, rows of a softmax without l1, of
            which the optimum has a sum of zero.
        shared: whether all have one Hessian.
        theta: [R, P], weight [R], gradient [R, P] of the smooth part of F.
    """

    passes: Passes
    l1: np.ndarray
    l2: np.ndarray
    start: np.ndarray
    free: np.ndarray
    shared: bool
    theta: np.ndarray
    weight: np.ndarray
    gradient: np.ndarray

    def matrices(self, sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Hessians of F [k, P, P] from sums over rows; with curvature where a softmax leaves a sum open."""
        (q, m), found = self.start.shape, sums / weight[:, None, None]
        whole = found.reshape(-1, q, m, q, m)
        for i in np.flatnonzero(self.free):
            whole[:, i, :, i, :] += (np.einsum("kcc->k", whole[:, i, :, i, :]) / m**2)[:, None, None]
        at = np.arange(q * m)
        found[:, at, at] += self.l2
        return found


def check(settings: ConfigDict, dataset: Dataset, devices: Devices) -> None:
    """Checks before a fit that its bootstrap can be had.

    Raises:
        InputError: it cannot, and why.
    """
    asked = settings.inference
    if not asked.bootstrap:
        return
    head = heads.resolve(settings.model.output, dataset.num_classes)
    size = (dataset.num_features + settings.model.bias) * head.outputs
    if size > MOST_COEFFICIENTS:
        raise InputError(
            f"inference.bootstrap: expected at most {MOST_COEFFICIENTS:,} coefficients. Received: {size:,}."
        )
    needed, free = 8.0 * _MATRICES * asked.bootstrap * size**2, devices.host_memory
    if not _is_shared(len(dataset.train), size) and needed > free:
        raise InputError(
            "inference.bootstrap: expected replicates whose Hessians fit into memory, as rows are few. "
            f"Received: {asked.bootstrap} of {size:,} coefficients, which take {needed / 2**30:.1f} GiB of "
            f"{free / 2**30:.1f} GiB."
        )
    group = dataset.source.extras.get(settings.data.group)
    if settings.data.group and len(np.unique(np.asarray(group)[dataset.train])) < 2:
        raise InputError("inference.bootstrap: expected at least two groups to draw from. Received: one.")


def bootstrap(task: Task, columns: moments.Affine, model: Model) -> Bootstrap:
    """The bootstrap of a model.

    Args:
        task: of a full-batch fit, its settings with l1 and l2 for C.
        columns: from `optimum.columns_of`.
        model: the fit's, in the units of the dataset, with the prior corrected as the task has it.
    """
    settings, dataset = task.settings, task.dataset
    shift = np.zeros(task.head.outputs)
    if task.class_weight is not None and settings.correct_prior:
        shift = task.head.prior_shift(task.class_weight)
    certified, w = optimum.certified_at(task, columns, dataclasses.replace(model, bias=model.bias + shift))
    problems, start = certified.problems, w.reshape(-1, task.head.outputs)
    l1, l2 = (problems.per_coefficient(each)[0] for each in (problems.l1, problems.l2))
    free = ~l1.reshape(start.shape).any(axis=1) & (start.shape[1] > 1)
    start = np.where(free[:, None], start - start.mean(axis=1, keepdims=True), start)
    passes = _passes(task, columns, start)
    first, ends = passes.first()
    if not ends.alike and settings.inference.weights == "frequency":
        log.warning(
            "inference.bootstrap: a row is drawn whole, whatever its weight. Where a weight counts rows, "
            "give them one by one."
        )
    theta = np.tile(start.ravel(), (passes.count, 1))
    shared, drawn = _is_shared(len(dataset.train), start.size), first.weight > 0
    weight = np.where(drawn, first.weight, 1.0)
    found = _Replicates(passes, l1, l2, start, free, shared, theta, weight, np.empty_like(theta))
    found.gradient = _centred(first.gradient, found) / weight[:, None] + found.l2 * theta
    with machine.blas_threads(float(start.size) ** 3):  # matrices of R replicates are many small ones
        done = _solve(found, first.loss, drawn)
        error = _errors(found, np.sqrt(first.square / weight), ends.longest)
    if not (found.shared or found.l1.any() or found.l2.any()):
        done &= np.isfinite(error)  # where coefficients run off, slopes end too
    beside = passes.beside(found.theta.reshape(-1, *start.shape), ends)
    kept = _of(found, done, error, beside, columns, shift, problems.bias, settings.inference.level)
    kernel = kept.kernel if task.prior is None else kept.kernel + task.prior
    return dataclasses.replace(kept, kernel=np.ldexp(kernel, -dataset.exponent[:, None]))


def _is_shared(num_rows: int, size: int) -> bool:
    """Whether replicates of so many rows take the fit's Hessian."""
    return num_rows >= _ROWS_TO_SHARE * size


def _passes(task: Task, columns: moments.Affine, start: np.ndarray) -> Passes:
    """Passes over the rows of a task."""
    settings, dataset = task.settings, task.dataset
    count, keys = settings.inference.bootstrap, None
    if settings.data.group:
        of_row = np.asarray(dataset.source.extras[settings.data.group])
        keys = np.unique(of_row, return_inverse=True)[1].astype(np.int64)
    class_weight = np.ones(dataset.num_classes) if task.class_weight is None else task.class_weight
    numbers = float(len(dataset.train)) * count
    dtype = np.dtype(np.float64 if numbers * start.shape[1] <= _IN_FLOAT64 else np.float32)
    kept = {} if numbers <= task.devices.host_memory * _KEPT else None
    return Passes(
        dataset, columns, task.devices, settings.model.bias, start, class_weight, keys, settings.seed, count,
        dtype, kept,
    )  # fmt: skip


def _centred(gradient: np.ndarray, found: _Replicates) -> np.ndarray:
    """Gradients [k, q, m] as [k, P], without what is the same in all outputs, which is rounding."""
    if found.start.shape[1] > 1:
        gradient = gradient - gradient.mean(axis=2, keepdims=True)
    return gradient.reshape(len(gradient), -1)


def _solve(found: _Replicates, loss: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Moves theta of those that have rows, `drawn` [R], to their optima; whether each is near, [R]."""
    count, num_rows = len(found.theta), len(found.passes.dataset.train)
    done, share, tried = np.zeros(count, bool), np.ones(count), found.theta.copy()
    target = _NEAR / np.sqrt(num_rows)
    merit, step = np.full(count, np.inf), np.zeros_like(found.theta)
    common = _common(found) if found.shared else None
    value = loss / found.weight + _penalties(found.theta, found)
    active = np.flatnonzero(drawn)
    fresh = active  # whose slopes are at theta, and new
    for _ in range(_MOST_STEPS):
        if fresh.size:
            matrix = common if found.shared else _own(found, fresh)
            v = steps.subgradients(found.theta[fresh], found.gradient[fresh], found.l1)
            slope = np.sqrt(np.maximum((v * steps.solved(matrix, v)).sum(axis=1), 0))
            merit[fresh] = slope if found.shared else value[fresh]
            done[fresh] = slope <= target
            step[fresh] = steps.steps(found.theta[fresh], found.gradient[fresh], matrix, found.l1)
            share[fresh] = 1.0
        active = active[~done[active] & (share[active] >= _SHORTEST)]
        if not active.size:
            break
        tried[active] = found.theta[active] + share[active, None] * step[active]
        fresh = active[_accepted(found, tried, active, merit, value, common)]
        share[np.setdiff1d(active, fresh)] /= 2
    return done


def _accepted(
    found: _Replicates,
    tried: np.ndarray,
    active: np.ndarray,
    merit: np.ndarray,
    value: np.ndarray,
    common: np.ndarray | None,
) -> np.ndarray:
    """A pass at `tried`; which of the active replicates are better there, and have moved: [k] bool."""
    theta = tried[active]
    models = theta.reshape(len(active), *found.start.shape)
    loss, gradient = found.passes.slopes(models, active, loss=not found.shared)
    gradient = _centred(gradient, found) / found.weight[active, None] + found.l2 * theta
    if found.shared:
        v = steps.subgradients(theta, gradient, found.l1)
        new = np.sqrt(np.maximum((v * steps.solved(common, v)).sum(axis=1), 0))
    else:
        new = loss / found.weight[active] + _penalties(theta, found)
    better = new <= merit[active] + 1e-14 * np.abs(merit[active])
    at = active[better]
    found.theta[at], found.gradient[at], value[at] = theta[better], gradient[better], new[better]
    return better


def _penalties(theta: np.ndarray, found: _Replicates) -> np.ndarray:
    return (found.l2 / 2 * np.square(theta) + found.l1 * np.abs(theta)).sum(axis=1)


def _common(found: _Replicates) -> np.ndarray:
    """The fit's Hessian, [P, P]."""
    weight = found.passes.dataset.all_moments.class_weight_sum @ found.passes.class_weight
    return found.matrices(found.passes.hessians(found.start[None], None), np.array([weight]))[0]


def _own(found: _Replicates, which: np.ndarray) -> np.ndarray:
    """The Hessians of some replicates where they are, [k, P, P]."""
    theta = found.theta[which].reshape(len(which), *found.start.shape)
    return found.matrices(found.passes.hessians(theta, which), found.weight[which])


def _errors(found: _Replicates, residual: np.ndarray, longest: float) -> np.ndarray:
    """How far replicates are at most from their optima, [R]; infinite where that is not known.

    It is the largest of a replicate's coefficients, in standard deviations of their values in all replicates,
    as of `exact.distance`: by the Hessians there, or by what some of the rows say of these at the fit.

    Args:
        residual: [R], root mean square of p - e_y, which the terms of the gradient are as large as.
        longest: of a row.
    """
    count, (q, m) = len(found.theta), found.start.shape
    size, num_rows, theta = q * m, len(found.passes.dataset.train), found.theta.reshape(count, q, m)
    off = np.full((count, size), np.inf)
    if found.shared:
        some = min(num_rows, max(_SOME_ROWS * size, int(_FEW_OPERATIONS / (count * size**2))))
        if float(count) * some * size**2 > _MOST_OPERATIONS:
            return np.full(count, np.inf)
        matrix, apart, longest = found.passes.curvature(found.start, theta, max(1, num_rows // some))
        matrix = found.matrices(matrix, found.weight)
    else:
        matrix, apart = _own(found, np.arange(count)), np.zeros(count)
    v = steps.subgradients(found.theta, found.gradient, found.l1)
    # Columns have deviation one. Errors of logits have random signs.
    reach = np.abs(theta).max(axis=2).sum(axis=1)
    doubt = np.finfo(found.passes.dtype).eps * (_SUMS * residual + 2 * reach / np.sqrt(num_rows))
    for r, own in enumerate(matrix):
        norms = metric.dense(own, np.ones(q), m)
        if norms is None:
            continue
        further = np.exp(apart[r] / 2)
        slope = further * (norms.norm(v[r].reshape(q, m)) + doubt[r] * norms.coefficients.sum())
        rho = further * (1 if m == 1 else 2) * norms.of_length(longest)
        if rho * slope < 1:
            off[r] = -np.log1p(-rho * slope) / rho * further * norms.coefficients.ravel()
    spread = found.theta.std(axis=0)
    return np.divide(off, spread, out=np.zeros_like(off), where=spread > 0).max(axis=1)


def _of(
    found: _Replicates,
    done: np.ndarray,
    error: np.ndarray,
    beside: Beside,
    columns: moments.Affine,
    shift: np.ndarray,
    bias: bool,
    level: float,
) -> Bootstrap:
    """What is kept, in the units of the dataset, less the prior."""
    count, (q, m), p = len(done), found.start.shape, len(columns.shift)
    theta = found.theta.reshape(count, q, m)
    theta = theta - np.where(found.free[:, None], theta.mean(axis=2, keepdims=True), 0)
    kernel = theta[:, :p] * columns.scale[:, None]
    biases = theta[:, p] if bias else np.zeros((count, m))
    biases = biases - columns.shift @ kernel - shift
    there = beside.weight > 0
    loss = np.divide(beside.loss, beside.weight, out=np.full(count, np.nan), where=there)
    if not done.all():
        log.warning(
            "inference.bootstrap: %d of %d replicates have no optimum, or none was reached. What is said is "
            "of the others.", int((~done).sum()), count,
        )  # fmt: skip
    return Bootstrap(
        level=level,
        kernel=kernel,
        bias=biases,
        log_loss=loss,
        roc_auc=_areas(beside.counts),
        error=error,
        done=done,
    )


def _areas(counts: np.ndarray) -> np.ndarray:
    """Areas under the ROC curve [R] from counts [R, 2, bins], ties counted by half; NaN for none."""
    if not counts.shape[1]:
        return np.full(len(counts), np.nan)
    negative, positive = counts[:, 0], counts[:, 1]
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = negative.sum(axis=1) * positive.sum(axis=1)
    wins = (positive * below).sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)
