"""Chooses a penalty by held-out rows, from the config's path and cv sections."""

import logging

import numpy as np
import scipy.optimize
from ml_collections import ConfigDict

from tf_logreg.data import folds as make_folds
from tf_logreg.data import moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices import memory
from tf_logreg.devices.devices import Devices
from tf_logreg.engines.engine import Engine
from tf_logreg.errors import InputError, RunError
from tf_logreg.fit import penalties
from tf_logreg.fit.full_batch import goal as goals
from tf_logreg.fit.full_batch import null_model, optimum, sample
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.path import batches, grid, scores, solution, strengths
from tf_logreg.fit.path.path import Path
from tf_logreg.fit.result import Status
from tf_logreg.fit.task import Task
from tf_logreg.model.head import Head
from tf_logreg.solvers import load as solvers

log = logging.getLogger(__name__)


def check(settings: ConfigDict, dataset: Dataset, devices: Devices, head: Head) -> None:
    """Checks that a path can be fitted, before anything is written.

    Raises:
        InputError: nothing is penalised, no default strength exists, or the problems do not fit in memory.
    """
    source = dataset.source
    penalised = optimum.penalty_factor(settings.penalty_factor, source.feature_names) > 0
    if not penalised.any():
        raise InputError("path.penalty: expected a penalty_factor > 0. Received: 0 for every feature.")
    count, folds = len(settings.path["values"]) or settings.path.num, len(dataset.moments)
    count *= len(grid.shares(settings))
    coefficients = (dataset.num_features + settings.model.bias) * head.outputs
    # Starts, solutions and raw copies of every problem's coefficients.
    memory.check(
        48.0 * count * folds * coefficients,
        f"path.num, path.values: {count} penalties beside {folds} folds of {coefficients} coefficients",
    )
    problems_at_once(settings, dataset, devices, head)
    if settings.cv.metric == "roc_auc":
        by_folds, most = bool(settings.cv.folds), settings.evaluate.max_bytes
        scores.check_areas(dataset, head, by_folds=by_folds, most_bytes=most)
    if not settings.path["values"] and not dataset.all_moments.deviation[penalised].any():
        raise InputError("path.values: expected strengths where no penalised column varies. Received: ().")


def problems_at_once(settings: ConfigDict, dataset: Dataset, devices: Devices, head: Head) -> int:
    """Number of problems that fit in memory, beside the rows and the solver's memory on the host."""
    shape = dataset.num_features, head.outputs_of_problem
    sparse, memory = dataset.source.sparse, devices.memory / 4
    return batches.problems_at_once(shape, settings.model.bias, memory, len(dataset.train), sparse=sparse)


def fit(task: Task, engine: Engine, scored: Engine, columns: moments.Affine, at_once: int) -> Path:
    """Fits every penalty with every fold held out, scores each fit on its held-out rows, and chooses.

    Args:
        task: its settings' sections path, cv, solver, model, data and the penalties are read; the path's
            checkpoints are in folders below the monitor's.
        engine: passes over the training rows, with their folds.
        scored: passes over the rows that score: the training rows with folds, else the validation rows.
        columns: from `optimum.columns_of`.
        at_once: from `problems_at_once`.

    Raises:
        RunError: no strength could be scored.
        InterruptError: a signal arrived; the state is saved.
    """
    settings, dataset, devices = task.settings, task.dataset, task.devices
    sampled = sample.sampled_rows(dataset.source, dataset.train, columns, dataset.folds.fold)
    by_folds, most = bool(settings.cv.folds), settings.evaluate.max_bytes
    held_out = scores.Scored(
        settings.cv.metric, scored, dataset, by_folds, columns, devices, task.head, most_bytes=most
    )
    task = grid.PathTask(
        **vars(task), engine=engine, scored=held_out, columns=columns, at_once=at_once, sampled=sampled
    )
    options, given, metric = settings.path, settings.path["values"], settings.cv.metric
    values = np.array(given, float) if given else _from_largest(task)
    found, w, iterations = _fit_strengths(task, values, "path", None)
    # Default strengths are added while the weakest is the best. All workers decide alike.
    while not given and devices.any(strengths.still_falls(strengths.losses(metric, found["scores"]))):
        more = strengths.next_values(found["values"], options.num)
        if not len(more):
            break
        at = f"{options.penalty}={found['values'][-1]:.3g}"
        log.info(
            "path: the held-out %s still improves at %s: on to %.3g.", metric.replace("_", " "), at, more[-1]
        )
        further, w, steps = _fit_strengths(task, more, f"path-{len(found['values'])}", w[-1])
        found = {name: np.concatenate([found[name], further[name]]) for name in found}
        iterations += steps
    if np.isnan(found["scores"]).any(axis=1).all():
        raise RunError("path: no penalty could be fitted and scored beside every fold.")
    choice = strengths.choose(strengths.losses(metric, found["scores"]), settings.cv.choose)
    shares, field = len(grid.shares(settings)), "path.C" if options.C else "path.values" if given else ""
    note = strengths.at_an_end(options.penalty, found["values"][::shares], choice // shares, given=field)
    if options.C:
        found["C"] = np.repeat(np.array(options.C, float), shares)
    return Path(
        penalty=options.penalty, metric=metric, choice=choice, iterations=iterations, note=note, **found
    )


def _fit_strengths(
    task: grid.PathTask, values: np.ndarray, folder: str, begin: np.ndarray | None
) -> tuple[dict, np.ndarray, int]:
    """Fits S strengths: fields of `Path` [N, F, ...], solutions [S, K / S, P] and the number of steps.

    Args:
        task: the path's.
        values: [S], strongest first.
        folder: of their checkpoints.
        begin: [K / S, P], the start of the strongest; the null models when None.
    """
    dataset, settings = task.dataset, task.settings
    problems = grid.problems_of(task, values, dataset.folds, dataset.moments, grid.scales(task))
    certified = Certified(
        problems, dataset.source, dataset.train, task.columns, task.devices, dataset.folds.fold
    )
    together = len(problems.l2) // len(values)
    sums = [one.class_weight_sum for one in dataset.moments]
    points = len(values) * len(grid.shares(settings))
    sums = np.tile(np.repeat(sums, task.head.num_problems, axis=0), (points, 1))
    start, null = null_model.models(certified, sums, offset=task.has_offset)
    if begin is not None and np.isfinite(begin).all():
        start = np.tile(begin, (len(values), 1))
    with (
        task.monitor.bar(float(settings.solver.tol * null[0])) as show,
        task.monitor.below(folder).listening() as monitor,
    ):
        solved = solution.solve(
            solvers.load(settings.solver.name),
            certified,
            start,
            batches.batches(problems, together, task.at_once),
            values=values,
            goal=goals.goal_of(settings.solver, null, task.devices.noise),
            monitor=monitor,
            report=show,
        )
    found = _found(task, values, problems, solved)
    return found, solved.w.reshape(len(values), together, -1), solved.iterations


def _found(task: grid.PathTask, values: np.ndarray, problems: Penalized, solved: solution.Solved) -> dict:
    """Fields of `Path` for the strengths `values` [S]."""
    shares = grid.shares(task.settings)
    shape = len(values) * len(shares), len(task.dataset.moments)
    kernel, bias = _models(solved.w, problems, shape)
    found = task.scored.scores(kernel, bias - _prior_shift_by_fold(task, problems))
    names = ("status", "gap", "objective", "passes", "steps")
    status, gap, value, reads, steps = (getattr(solved, name).reshape(*shape, -1) for name in names)
    # With one against the rest, the model has the status of the first class that is not optimal.
    first_bad = (status != Status.OPTIMAL).argmax(axis=2)[:, :, None]
    status = np.take_along_axis(status, first_bad, axis=2)[:, :, 0]
    found[status == Status.DIVERGED] = np.nan
    kernel = kernel * task.columns.scale[:, None]
    l1, l2 = grid.penalties_of(task, values, grid.scales(task))
    return {
        "values": np.repeat(values, len(shares)),
        "C": penalties.inverse_of(np.repeat(values, len(shares)), task.sum_of_weights),
        "l1_ratio": np.tile(shares, len(values)),
        "l1": l1,
        "l2": l2,
        "scores": found,
        "kernel": kernel,
        "bias": bias - np.einsum("j,nfjm->nfm", task.columns.shift, kernel),
        "status": status,
        "certified_gap": gap.sum(axis=2),
        "objective": value.sum(axis=2),
        "nonzeros": np.count_nonzero(kernel, axis=(2, 3)),
        "passes": reads.max(axis=2),
        "steps": steps.max(axis=2),
    }


def _prior_shift_by_fold(task: grid.PathTask, problems: Penalized) -> np.ndarray:
    """[F, m]: the shift of the bias from each fold's class weights; [1] zero without correction."""
    if not (task.settings.class_weight and task.settings.correct_prior):
        return np.zeros(1)
    head = task.head
    weights = problems.class_weight[: len(task.dataset.moments) * head.num_problems]
    weights = weights.reshape(-1, head.num_problems, head.num_classes)
    return np.array([head.prior_shift(one if head.is_one_vs_rest else one[0]) for one in weights])


def _from_largest(task: grid.PathTask) -> np.ndarray:
    """The default strengths, from the gradient of all training rows with the penalised features at zero."""
    dataset, settings, scan, factor = task.dataset, task.settings, task.dataset.all_moments, task.factor
    null = grid.problems_of(task, np.zeros(1), make_folds.none(len(dataset.train)), [scan], np.ones(1))
    p, count = null.shape[0], len(null.l2)
    certified = Certified(null, dataset.source, dataset.train, task.columns, task.devices)
    w, _ = null_model.models(certified, scan.class_weight_sum, offset=False)
    free = null.per_coefficient(np.tile(factor == 0, (count, 1)).astype(float)) > 0
    if free.any() or task.has_offset:
        free |= null.per_coefficient(np.ones((count, p))) == 0

        def value_and_gradient(part: np.ndarray) -> tuple[float, np.ndarray]:
            w[free] = part
            value, gradient = certified.exact(w, np.arange(count))
            return value.sum(), gradient[free]

        scipy.optimize.minimize(value_and_gradient, w[free], jac=True, method="BFGS", options={"gtol": 1e-9})
    _, gradient = certified.exact(w, np.arange(count))
    gradient = null.unpack(gradient)[:, :p].transpose(1, 0, 2).reshape(p, -1)
    largest = strengths.largest_penalty(
        settings.path.penalty, gradient / grid.penalty_unit(task, scan)[:, None], factor
    )
    return strengths.grid(settings.path.num, settings.path.ratio, largest)


def _models(w: np.ndarray, problems: Penalized, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Kernels [N, F, p, m] and biases [N, F, m] in training columns from w [K, P]; m = C for one-vs-rest."""
    whole = problems.unpack(w)
    whole = whole.reshape(*shape, -1, *whole.shape[1:]).transpose(0, 1, 3, 2, 4)
    whole = whole.reshape(*whole.shape[:3], -1)
    return whole[:, :, :-1], whole[:, :, -1]
