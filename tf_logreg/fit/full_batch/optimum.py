"""A certified fit: its method, columns, start, target gap and result."""

import contextlib
import dataclasses

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import machine
from tf_logreg.data import moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.engines import load as engines
from tf_logreg.engines.engine import Engine
from tf_logreg.errors import InputError
from tf_logreg.exact import certificate, separation
from tf_logreg.fit.full_batch import (
    copied_columns,
    loop,
    null_model,
    penalized,
    polish,
    quick_start,
    row_space,
    sample,
    sampled_start,
)
from tf_logreg.fit.full_batch import goal as goals
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.result import Status, Trained
from tf_logreg.fit.task import Task
from tf_logreg.model.model import Model
from tf_logreg.names import describe, told_apart
from tf_logreg.solvers import load as solvers

LARGEST_PENALTY = 1e25
_LEADS = 0.1  # of the largest coefficient that runs off, per deviation


def method_name(name: str, *, l1: bool) -> str:
    """The method that 'auto' selects, with or without l1; any other name is returned unchanged."""
    return name if name != "auto" else "proximal_newton" if l1 else "newton"


def columns_of(settings: ConfigDict, dataset: Dataset) -> moments.Affine:
    """Columns of deviation one, also without `standardize`: the penalties are rescaled instead."""
    return moments.affine(
        dataset.all_moments,
        standardize=True,
        bias=settings.model.bias,
        dtype=dataset.source.x_dtype,
        exponent=dataset.exponent,
    )


def capped(penalty: np.ndarray) -> np.ndarray:
    """Penalties of columns of deviation one, limited to 1e25.

    Such a penalty keeps the coefficient below 1e-25, so the limit changes the objective by no more than that.
    """
    return np.minimum(penalty, LARGEST_PENALTY)


def fit(task: Task, engine: Engine, columns: moments.Affine, start: Model | None = None) -> Trained:
    """Fits to a certified gap.

    Args:
        task: its settings' sections solver, model, l1, l2, penalty_factor and standardize are read; no
            training row is held out.
        engine: from `placed`, or other passes over the training rows.
        columns: from `columns_of`.
        start: a model to start from, in the units of the dataset; None for the null model.

    Raises:
        InputError: a checkpoint does not match, or cannot be written.
        InterruptError: a signal arrived; the state is saved.
    """
    settings, dataset, devices, monitor = task.settings, task.dataset, task.devices, task.monitor
    problems = _problems(task, engine, columns)
    certified = Certified(problems, dataset.source, dataset.train, columns, devices)
    sums = dataset.all_moments.class_weight_sum
    w, null = null_model.models(certified, sums, offset=task.has_offset)
    method = solvers.load(settings.solver.name)
    noise = polish.NOISE if engine.exact else devices.noise
    goal = polish.at_once(goals.goal_of(settings.solver, null, noise), problems, method)
    # Small problems would set the limit anew for each pass, which takes as long as a tenth of it.
    limit = machine.one_blas_thread() if engine.exact else contextlib.nullcontext()
    with limit, monitor.bar(goal.gap[0]) as show, monitor.listening() as monitor:
        if start is not None:
            w = _start(task, start, problems, columns)
        begin = row_space.start(method, problems, w, goal=goal, monitor=monitor)
        if begin is None:
            begin = quick_start.start(problems, w, goal, monitor)
        if begin is not None:
            w = begin.w
        elif start is None and method.USES_HESSIAN:
            w = sampled_start.start_from_sample(method, problems, w, goal.noise, monitor.interrupted)

        def report(number: float, value: float, gap: float) -> None:
            show(number, value, gap)
            monitor.record("train/objective", value, int(number))

        outcome = loop.solve(method, certified, w, goal=goal, monitor=monitor, report=report, begin=begin)
        polish.polish(certified, outcome, goal, monitor, begin)
    return _trained(outcome, certified, dataset, float(null.sum()))


def certified_at(task: Task, columns: moments.Affine, model: Model) -> tuple[Certified, np.ndarray]:
    """The problems of a fit, and a model in the units of the dataset as their weights [K, P].

    Arguments are those of `fit`. No engine makes passes: the rows are read in float64.
    """
    dataset, problems = task.dataset, _problems(task, None, columns)
    certified = Certified(problems, dataset.source, dataset.train, columns, task.devices)
    return certified, _start(task, model, problems, columns)


def objective(task: Task, columns: moments.Affine, model: Model) -> float:
    """F of a model in the units of the dataset, nats; one read of the training rows, in float64.

    Arguments are those of `fit`; a one-vs-rest model has the sum of its problems.
    """
    certified, w = certified_at(task, columns, model)
    problems = certified.problems
    smooth, _ = certified.exact(w, np.arange(len(problems.l2)))
    kernel = problems.unpack(w)[:, :-1]
    return float(smooth.sum() + (problems.l1[:, :, None] * np.abs(kernel)).sum())


def placed(task: Task, columns: moments.Affine, engine: Engine | None = None) -> Engine:
    """Passes over the training rows for `fit`; arguments as there. `engine` may have made some already."""
    settings, dataset, devices, head = task.settings, task.dataset, task.devices, task.head
    size = (dataset.num_features + settings.model.bias) * head.outputs_of_problem
    goes_on = settings.solver.polish and polish.is_small(head.num_problems, len(dataset.train), size)
    if goes_on and devices.engine == "host" and devices.workers.count == 1:
        return engines.copied_in_float64(dataset.source, dataset.train, columns)
    if engine is not None:
        return engine
    return engines.placed_or_streamed(devices, dataset.source, dataset.train, columns)


def _problems(task: Task, engine: Engine, columns: moments.Affine) -> penalized.Penalized:
    """The problem of a fit; one problem per class for one against the rest."""
    settings, dataset, head = task.settings, task.dataset, task.head
    factor = penalty_factor(settings.penalty_factor, dataset.source.feature_names)
    # Penalties act on raw coefficients, or on those of columns of deviation one.
    unit = columns.penalty_unit(standardize=dataset.scaled(settings))
    with np.errstate(over="ignore"):
        l1, l2 = capped(settings.l1 * factor * unit), capped(settings.l2 * factor * unit * unit)
    count = head.num_problems
    class_weight = np.ones(head.num_classes) if task.class_weight is None else task.class_weight
    return penalized.Penalized(
        engine,
        (dataset.num_features, head.outputs_of_problem),
        settings.model.bias,
        np.full(count, -1, np.int32),
        np.broadcast_to(class_weight, (count, head.num_classes)),
        np.tile(l1, (count, 1)),
        np.tile(l2, (count, 1)),
        len(dataset.train),
        positive=head.positive,
        sample=sample.sampled_rows(dataset.source, dataset.train, columns, None),
        columns=copied_columns.reader(dataset.source, dataset.train, columns, None),
    )


def _start(task: Task, start: Model, problems: penalized.Penalized, columns: moments.Affine) -> np.ndarray:
    """A model in the dataset's units -> w [K, P], of a prior what is to be added to it."""
    (p, m), count = problems.shape, len(problems.l2)
    w = np.zeros((count, p + 1, m))
    kernel = start.kernel if task.prior is None else start.kernel - task.prior
    by_problem = kernel.T.reshape(count, m, p).transpose(0, 2, 1)
    w[:, :p] = by_problem / columns.scale[:, None]
    w[:, p] = (start.bias + columns.shift @ kernel).reshape(count, m)
    return problems.pack(w)


def _trained(outcome: goals.Outcome, certified: Certified, dataset: Dataset, null: float) -> Trained:
    """The result of K problems that form one model; `null` is the null model's loss, nats."""
    problems, worst = certified.problems, _worst(outcome.status)
    status, passes, history = (
        outcome.status[worst],
        float(outcome.passes[worst]),
        [(number, value) for number, value, _ in outcome.history],
    )
    if status is Status.DIVERGED:
        return Trained(status, outcome.iterations, passes, None, None, history)
    found = _sum_of(outcome.certificates)
    w = problems.unpack(problems.centred(outcome.w, np.arange(len(outcome.w))))
    kernel, bias = np.concatenate(list(w[:, :-1]), axis=1), w[:, -1].ravel()
    kernel[problems.l2[0] == LARGEST_PENALTY] = 0
    message = status.explain()
    if status in (Status.MAX_PASSES, Status.TIME_LIMIT):
        gap = "unknown" if found.gap is None else f"at most {found.gap / null:.1e} of the null model's loss"
        remedy = f"not certified: {found.remedy}" if found.remedy else message
        message = f"after {passes:.0f} passes the gap is {gap} ({found.reason}); {remedy}"
    if status is Status.SEPARATED:
        found = dataclasses.replace(found, gap=None, reason="none: the data are separated")
        message = f"{message}. {_running_off(outcome.running_off[worst], worst, certified, dataset)}"
    dependence, more = _dependence(certified, dataset) if found.narrow else (None, "")
    return Trained(
        status,
        outcome.iterations,
        passes,
        kernel,
        bias,
        history,
        objective=found.objective,
        message=message + more,
        certificate=found,
        relative_gap=None if found.gap is None else found.gap / null,
        dependence=dependence,
        made=dict(problems.made),
    )


def _running_off(direction: np.ndarray, k: int, certified: Certified, dataset: Dataset) -> str:
    """Message that names the coefficients of a separated problem that diverge."""
    source = dataset.source
    moved, all_of_them = certified.running_off(direction, k)
    classes = told_apart(source.class_names)
    names = classes if len(certified.problems.l2) == 1 else ("the others", classes[k])
    features, names = separation.names(moved, told_apart(source.feature_names), names)
    which = "Running off" if all_of_them else "Running off, perhaps among others"
    said = f"{which}: {describe(features)}; classes {describe(names)}"
    # Where separation is complete all can run off. The fit says which of them do so first.
    size = np.abs(direction[: len(certified.columns.scale)] / certified.columns.scale[:, None]).max(axis=1)
    first = np.flatnonzero(size > _LEADS * size.max())
    if len(features) == len(size) > len(first):
        said += f", first of all {describe(tuple(np.array(told_apart(source.feature_names), object)[first]))}"
    return said


def _dependence(certified: Certified, dataset: Dataset) -> tuple[dict | None, str]:
    """Linearly dependent unpenalised columns, for `result.json` and as a message."""
    if (one := certified.dependence(0)) is None:
        return None, ""
    names = tuple(np.array(told_apart(dataset.source.feature_names), object)[one.takes_part])
    return {"rank": one.rank, "columns": one.columns, "features": list(names)}, (
        f". The {one.columns} unpenalised columns have rank {one.rank} beside the bias: of "
        f"{describe(names)} single coefficients are not identified, predictions are"
    )


def _worst(status: list[Status]) -> int:
    """Index of the problem with the worst status, which is the status of the model."""
    order = (Status.OPTIMAL, Status.TIME_LIMIT, Status.MAX_PASSES, Status.SEPARATED, Status.DIVERGED)
    return max(range(len(status)), key=lambda k: order.index(status[k]))


def _sum_of(found: list[certificate.Certificate]) -> certificate.Certificate:
    """Certificate of the sum of several objectives: the bounds add up, if every problem has one."""
    if len(found) == 1:
        return found[0]

    def total(name: str) -> float | None:
        values = [getattr(one, name) for one in found]
        return None if None in values else float(sum(values))

    without = [one.reason for one in found if one.gap is None]
    remedies = [one.remedy for one in found if one.remedy]
    names = ("objective", "gap", "rounding", "gradient_bound")
    return certificate.Certificate(
        **{name: total(name) for name in names},
        reason=without[0] if without else found[0].reason,
        gradient=np.concatenate([one.gradient for one in found], axis=1),
        remedy=remedies[0] if remedies else "",
        narrow=any(one.narrow for one in found),
    )


def penalty_factor(factor: tuple, columns: tuple[str, ...]) -> np.ndarray:
    """Penalty factors [p] float64; ones for ().

    Raises:
        InputError: their number is not that of the columns.
    """
    if len(factor) not in (0, len(columns)):
        raise InputError(
            f"penalty_factor: expected {len(columns)} numbers, one a feature ({describe(columns)}), or (). "
            f"Received: {len(factor)}."
        )
    return np.array(factor, float) if factor else np.ones(len(columns))
