"""Chooses the strength of a penalty by held-out rows, from the config's path and cv sections."""

import dataclasses
import logging
from collections.abc import Callable

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
from tf_logreg.fit import class_weight, progress
from tf_logreg.fit.full_batch import loop, optimum, sample
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.path import batches, solution, strengths
from tf_logreg.fit.path.path import Path
from tf_logreg.fit.result import Status
from tf_logreg.fit.task import Task
from tf_logreg.model.head import Head
from tf_logreg.objective import records
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
    coefficients = (dataset.num_features + settings.model.bias) * head.outputs
    # Starts, solutions and raw copies of every problem's coefficients.
    memory.check(
        48.0 * count * folds * coefficients,
        f"path.num, path.values: {count} strengths beside {folds} folds of {coefficients} coefficients",
    )
    problems_at_once(settings, dataset, devices, head)
    if not settings.path["values"] and not dataset.all_moments.deviation[penalised].any():
        raise InputError("path.values: expected strengths where no penalised column varies. Received: ().")


def problems_at_once(settings: ConfigDict, dataset: Dataset, devices: Devices, head: Head) -> int:
    """Number of problems that fit in memory, beside the rows and the solver's memory on the host."""
    shape = dataset.num_features, head.outputs_of_problem
    return batches.problems_at_once(shape, settings.model.bias, devices.memory / 4, len(dataset.train))


@dataclasses.dataclass(frozen=True)
class _Task(Task):
    """The task of a path: passes, columns, problems at once, and rows for preconditioners."""

    engine: Engine
    scored: Engine
    columns: moments.Affine
    at_once: int
    sampled: Callable[[], sample.Rows]

    @property
    def factor(self) -> np.ndarray:
        """[p] penalty factors."""
        return optimum.penalty_factor(self.settings.penalty_factor, self.dataset.source.feature_names)


def fit(task: Task, engine: Engine, scored: Engine, columns: moments.Affine, at_once: int) -> Path:
    """Fits every strength with every fold held out, scores each fit on its held-out rows, and chooses.

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
    task = _Task(
        **vars(task), engine=engine, scored=scored, columns=columns, at_once=at_once, sampled=sampled
    )
    options, given = settings.path, settings.path["values"]
    values = np.array(given, float) if given else _from_largest(task)
    found, w, iterations = _fit_strengths(task, values, "path", None)
    # Default strengths are added while the weakest is the best. All workers decide alike.
    while not given and devices.any(strengths.still_falls(found["scores"])):
        more = strengths.next_values(found["values"], options.num)
        if not len(more):
            break
        log.info(
            "path: the held-out loss still falls at %s=%.3g: on to %.3g.",
            options.penalty, found["values"][-1], more[-1],
        )  # fmt: skip
        further, w, steps = _fit_strengths(task, more, f"path-{len(found['values'])}", w[-1])
        found = {name: np.concatenate([found[name], further[name]]) for name in found}
        iterations += steps
    if np.isnan(found["scores"]).any(axis=1).all():
        raise RunError("path: no strength of the penalty could be fitted and scored beside every fold.")
    choice = strengths.choose(found["scores"], settings.cv.choose)
    note = strengths.at_an_end(options.penalty, found["values"], choice, given=bool(given))
    if note:
        log.warning("path: %s", note)
    return Path(penalty=options.penalty, choice=choice, iterations=iterations, note=note, **found)


def _fit_strengths(
    task: _Task, values: np.ndarray, folder: str, begin: np.ndarray | None
) -> tuple[dict, np.ndarray, int]:
    """Fits N strengths: fields of `Path` [N, F, ...], solutions [N, K / N, P] and the number of steps.

    Args:
        task: the path's.
        values: [N], strongest first.
        folder: of their checkpoints.
        begin: [K / N, P], the start of the strongest; the null models when None.
    """
    dataset, settings = task.dataset, task.settings
    problems = _problems(task, values, dataset.folds, dataset.moments)
    certified = Certified(
        problems, dataset.source, dataset.train, task.columns, task.devices, dataset.folds.fold
    )
    together = len(problems.l2) // len(values)
    sums = [one.class_weight_sum for one in dataset.moments]
    sums = np.tile(np.repeat(sums, task.head.num_problems, axis=0), (len(values), 1))
    start, null = optimum.null_models(certified, sums, offset=bool(settings.data.offset))
    if begin is not None and np.isfinite(begin).all():
        start = np.tile(begin, (len(values), 1))
    with (
        progress.gap_bar(float(settings.solver.tol * null[0])) as show,
        task.monitor.below(folder).listening() as monitor,
    ):
        solved = solution.solve(
            solvers.load(settings.solver.name),
            certified,
            start,
            batches.batches(problems, together, task.at_once),
            values=values,
            goal=loop.Goal(settings.solver.tol * null, settings.solver.max_passes, task.devices.noise),
            monitor=monitor,
            report=show,
        )
    found = _found(task, values, problems, solved)
    return found, solved.w.reshape(len(values), together, -1), solved.iterations


def _found(task: _Task, values: np.ndarray, problems: Penalized, solved: solution.Solved) -> dict:
    """Fields of `Path` for the strengths `values` [N]."""
    shape = len(values), len(task.dataset.moments)
    kernel, bias = _models(solved.w, problems, shape)
    scores = _scores(task, kernel, bias - _prior_shift_by_fold(task, problems))
    status, gap, value, reads = (
        array.reshape(*shape, -1) for array in (solved.status, solved.gap, solved.objective, solved.passes)
    )
    # With one against the rest, the model has the status of the first class that is not optimal.
    first_bad = (status != Status.OPTIMAL).argmax(axis=2)[:, :, None]
    status = np.take_along_axis(status, first_bad, axis=2)[:, :, 0]
    scores[status == Status.DIVERGED] = np.nan
    kernel = kernel * task.columns.scale[:, None]
    return {
        "values": values,
        "scores": scores,
        "kernel": kernel,
        "bias": bias - np.einsum("j,nfjm->nfm", task.columns.shift, kernel),
        "status": status,
        "certified_gap": gap.sum(axis=2),
        "objective": value.sum(axis=2),
        "nonzeros": np.count_nonzero(kernel, axis=(2, 3)),
        "passes": reads.max(axis=2),
    }


def _prior_shift_by_fold(task: _Task, problems: Penalized) -> np.ndarray:
    """[F, m]: the shift of the bias from each fold's class weights; [1] zero without correction."""
    if not (task.settings.class_weight and task.settings.correct_prior):
        return np.zeros(1)
    head = task.head
    weights = problems.class_weight[: len(task.dataset.moments) * head.num_problems]
    weights = weights.reshape(-1, head.num_problems, head.num_classes)
    return np.array([head.prior_shift(one if head.is_one_vs_rest else one[0]) for one in weights])


def _problems(
    task: _Task, values: np.ndarray, folds: make_folds.Folds, scans: list[moments.Scan]
) -> Penalized:
    """The K = N F M problems of strengths [N] and F folds; `scans` has the moments of each training part."""
    settings, dataset, head = task.settings, task.dataset, task.head
    weights, units, sides = [], [], head.num_problems
    for scan in scans:
        found = class_weight.parse(
            settings.class_weight, dataset.source.class_names, scan.class_weight_sum, head
        )
        weights.append(np.broadcast_to(1.0 if found is None else found, (sides, head.num_classes)))
        units.append(_penalty_unit(task, scan))
    together = len(scans) * sides
    strength = np.repeat(values, together)[:, None]
    unit = np.tile(np.repeat(units, sides, axis=0), (len(values), 1))
    positive = np.tile(head.positive, len(values) * len(scans))
    penalty, factor = settings.path.penalty, task.factor
    return Penalized(
        task.engine,
        (dataset.num_features, head.outputs_of_problem),
        settings.model.bias,
        np.tile(np.repeat(folds.held_out, sides), len(values)),
        np.tile(np.concatenate(weights), (len(values), 1)),
        optimum.capped((strength if penalty == "l1" else settings.l1) * factor * unit),
        optimum.capped((strength if penalty == "l2" else settings.l2) * factor * unit * unit),
        len(dataset.train),
        latest=np.tile(np.repeat(folds.latest, sides), len(values)),
        positive=positive,
        # The folds of a strength have about the same Hessian; with one against the rest, those of a class.
        alike=np.repeat(np.arange(len(values)), together) * sides + positive,
        sample=task.sampled,
    )


def _penalty_unit(task: _Task, scan: moments.Scan) -> np.ndarray:
    """[p]: the coefficient that penalties act on, over the coefficient of the training column.

    It is the coefficient of the raw column, or of the column standardised by the rows of `scan` alone. The
    centring only changes the bias.
    """
    if not task.settings.standardize:
        return task.columns.penalty_unit(standardize=False)
    return task.columns.scale * np.where(scan.deviation > 0, scan.deviation, 1.0)


def _from_largest(task: _Task) -> np.ndarray:
    """The default strengths, from the gradient of all training rows with the penalised features at zero."""
    dataset, settings, scan, factor = task.dataset, task.settings, task.dataset.all_moments, task.factor
    null = _problems(task, np.zeros(1), make_folds.none(len(dataset.train)), [scan])
    p, count = null.shape[0], len(null.l2)
    certified = Certified(null, dataset.source, dataset.train, task.columns, task.devices)
    w, _ = optimum.null_models(certified, scan.class_weight_sum, offset=False)
    free = null.per_coefficient(np.tile(factor == 0, (count, 1)).astype(float)) > 0
    if free.any() or settings.data.offset:
        free |= null.per_coefficient(np.ones((count, p))) == 0

        def value_and_gradient(part: np.ndarray) -> tuple[float, np.ndarray]:
            w[free] = part
            value, gradient = certified.exact(w, np.arange(count))
            return value.sum(), gradient[free]

        scipy.optimize.minimize(value_and_gradient, w[free], jac=True, method="BFGS", options={"gtol": 1e-9})
    _, gradient = certified.exact(w, np.arange(count))
    gradient = null.unpack(gradient)[:, :p].transpose(1, 0, 2).reshape(p, -1)
    largest = strengths.largest_penalty(
        settings.path.penalty, gradient / _penalty_unit(task, scan)[:, None], factor
    )
    return strengths.grid(settings.path.num, settings.path.ratio, largest)


def _models(w: np.ndarray, problems: Penalized, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Kernels [N, F, p, m] and biases [N, F, m] in training columns from w [K, P]; m = C for one-vs-rest."""
    whole = problems.unpack(w)
    whole = whole.reshape(*shape, -1, *whole.shape[1:]).transpose(0, 1, 3, 2, 4)
    whole = whole.reshape(*whole.shape[:3], -1)
    return whole[:, :, :-1], whole[:, :, -1]


def _scores(task: _Task, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Held-out log losses [N, F] of kernels [N, F, p, m], nats."""
    name = "held_out_loss_one_vs_rest" if task.head.is_one_vs_rest else "held_out_loss"
    held_out = task.dataset.folds.held_out if task.settings.cv.folds else np.zeros(1, np.int32)
    shape = kernel.shape[:2]
    w = np.concatenate([kernel, bias[:, :, None]], axis=2)
    record = records.Problems(np.tile(held_out, shape[0]), np.ones((w.shape[0] * w.shape[1], 1)))
    arguments = (w.reshape(-1, *w.shape[2:]),)
    weight, loss = task.scored.sums(name, arguments, record, 3 * w[..., 0, :].size)
    return (loss / weight).reshape(shape)
