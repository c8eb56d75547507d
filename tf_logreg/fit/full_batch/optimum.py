"""From the config's solver section to a certified fit: which method, from where, how close, how it ended."""

import dataclasses
import logging
from collections.abc import Callable

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg.data import moments
from tf_logreg.data.names import describe, told_apart
from tf_logreg.data.source import Source
from tf_logreg.devices import interrupt, placement, workers
from tf_logreg.engines import on_devices
from tf_logreg.errors import InputError
from tf_logreg.exact import certificate, host, separation, sums
from tf_logreg.fit import checkpoint, progress
from tf_logreg.fit.full_batch import loop, penalized, sample
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.path import solution
from tf_logreg.fit.result import FitResult, Status
from tf_logreg.model import keras_model
from tf_logreg.solvers import load as solvers

log = logging.getLogger(__name__)

LARGEST_PENALTY = 1e25
# Relative rounding error of a value that the devices sum.
NOISE = {"float32": 2e-7, "bfloat16": 2e-7, "float64": 1e-15}


def choose(name: str, *, l1: bool) -> str:
    """The method that 'auto' stands for, with some l1 or without; any other name is kept."""
    if name != "auto":
        return name
    name = "proximal_newton" if l1 else "newton"
    log.info("solver.name='auto' takes %s, for %s.", name, "exact zeros" if l1 else "a smooth objective")
    return name


def training_columns(
    config: ConfigDict, source: Source, scan: moments.Scan, exponent: np.ndarray | int = 0
) -> moments.Affine:
    """Columns of deviation one whatever `standardize` says: the penalties are brought to them instead."""
    return moments.affine(
        scan, standardize=True, bias=config.model.bias, dtype=source.x_dtype, exponent=exponent
    )


def held(penalty: np.ndarray) -> np.ndarray:
    """Penalties by coefficient of a column of deviation one, those beyond 1e25 brought down to it.

    They keep a coefficient below 1e-25 and change the objective by no more than that.
    """
    return np.minimum(penalty, LARGEST_PENALTY)


def fit_full_batch(
    config: ConfigDict,
    model: keras.Sequential,
    source: Source,
    rows: np.ndarray,
    columns: moments.Affine,
    *,
    solver: str,
    strategy: tf.distribute.Strategy,
    dtype: str,
    checkpoints: checkpoint.Checkpoints,
    class_weight_sum: np.ndarray,
    device_memory_fraction: float = 0.5,
    weight_of_class: np.ndarray | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    resident: Callable = on_devices.resident,
    record: Callable[[str, float, int], None] = lambda name, value, step: None,
) -> FitResult:
    """Fits the model, in training columns, to a certified gap.

    Args:
        config: its sections solver, model, l1, l2, penalty_factor and standardize are read.
        model: built within the strategy's scope; its weights are set.
        source: where rows are read.
        rows: int64 [n], the ids of the training rows.
        columns: from `training_columns`.
        solver: from `choose`.
        strategy: where the replicas live.
        dtype: of X on the devices.
        checkpoints: where the state is saved and found.
        class_weight_sum: [C], from the scan of the training rows.
        device_memory_fraction: rows that take at most this share are placed on the devices once.
        weight_of_class: [C], or [C, C] for one against the rest, or None.
        start: raw kernel [p, m] and bias [m] to begin at; zeros when None.
        resident: places rows and gives their passes; another one may count what it is asked.
        record: called with (name, value, step) for TensorBoard.

    Raises:
        InputError: penalty_factor of another length, or a checkpoint that does not fit or cannot be written.
        InterruptError: a signal came; the state is saved.
    """
    num_features, units = len(source.columns), model.get_layer("logits").units
    has_bias, classes = config.model.bias, len(source.class_names)
    factor = penalty_factor(config.penalty_factor, source.columns)
    # Penalties act on raw coefficients, or on those of columns of deviation one.
    unit = columns.penalty_unit(standardize=config.standardize)
    with np.errstate(over="ignore"):
        l1, l2 = held(config.l1 * factor * unit), held(config.l2 * factor * unit * unit)
    # One against the rest is a problem a class, each with one output.
    count, outputs = (units, 1) if keras_model.is_one_vs_rest(model) else (1, units)
    class_weight = np.ones(classes) if weight_of_class is None else weight_of_class
    problems = penalized.Penalized(
        place_rows(strategy, source, rows, columns, dtype, device_memory_fraction, resident=resident),
        (num_features, outputs),
        has_bias,
        np.full(count, -1, np.int32),
        np.broadcast_to(class_weight, (count, classes)),
        np.tile(l1, (count, 1)),
        np.tile(l2, (count, 1)),
        len(rows),
        positive=positives(count),
        sample=sample.sampled_rows(source, rows, columns, None),
    )
    team = workers.of(strategy)
    certified = Certified(problems, source, rows, columns, team)
    w, null = null_models(certified, class_weight_sum, offset=bool(config.data.offset))
    if start is not None:
        kernel, bias = (array.astype(np.float64) for array in start)
        w = np.zeros((count, num_features + has_bias, outputs))
        by_problem = kernel.T.reshape(count, outputs, num_features).transpose(0, 2, 1)
        w[:, :num_features] = by_problem / columns.scale[:, None]
        if has_bias:
            w[:, num_features] = (bias + columns.shift @ kernel).reshape(count, outputs)
        w = w.reshape(count, -1)
    elif solver in ("newton", "proximal_newton"):
        w = solution.near(solvers.load(solver), problems, w, NOISE[dtype])
    target = config.solver.tol * null
    with progress.gap_bar(target[0]) as show, interrupt.listen() as interrupted:

        def report(number: float, value: float, gap: float) -> None:
            show(number, value, gap)
            record("train/objective", value, int(number))

        outcome = loop.solve(
            solvers.load(solver),
            problems,
            w,
            target=target,
            max_passes=config.solver.max_passes,
            noise=NOISE[dtype],
            certify=certified.certify,
            exact=certified.exact,
            separation=certified.separated,
            checkpoints=checkpoints,
            report=report,
            interrupted=lambda: team.any(interrupted()),
        )
    worst = _worst(outcome.status)
    status, passes_made = outcome.status[worst], float(outcome.passes[worst])
    if status is Status.DIVERGED:
        return FitResult(status, outcome.iterations, passes_made, [])
    found = _sum_of(outcome.certificates)
    w = problems.centred(outcome.w, np.arange(count)).reshape(count, -1, outputs)
    w = np.concatenate(list(w), axis=1)
    w[:num_features][l2 == LARGEST_PENALTY] = 0
    weights = w[:num_features], w[num_features] if has_bias else np.zeros(units)
    keras_model.set_weights(model, *weights)
    message = status.explain()
    if status is Status.MAX_PASSES:
        gap = (
            "unknown"
            if found.gap is None
            else f"at most {found.gap / null.sum():.1e} of the null model's loss"
        )
        remedy = f"not certified: {found.remedy}" if found.remedy else message
        message = f"after {passes_made:.0f} passes the gap is {gap} ({found.reason}); {remedy}"
    if status is Status.SEPARATED:
        found = dataclasses.replace(found, gap=None, reason="none: the data are separated")
        moved, all_of_them = certified.running_off(outcome.running_off[worst], worst)
        classes = told_apart(source.class_names)
        names = classes if count == 1 else ("the others", classes[worst])
        features, names = separation.names(moved, told_apart(source.columns), names)
        which = "Running off" if all_of_them else "Running off, perhaps among others"
        message = f"{message}. {which}: {describe(features)}; classes {describe(names)}"
    dependence = None
    if found.narrow and (one := certified.dependence(0)) is not None:
        names = tuple(np.array(told_apart(source.columns), object)[one.takes_part])
        dependence = {"rank": one.rank, "columns": one.columns, "features": list(names)}
        message = (
            f"{message}. The {one.columns} unpenalised columns have rank {one.rank} beside the bias: of "
            f"{describe(names)} single coefficients are not identified, predictions are"
        )
    return FitResult(
        status,
        outcome.iterations,
        passes_made,
        [(number, value) for number, value, _ in outcome.history],
        message=message,
        certificate=found,
        weights=weights,
        dependence=dependence,
        relative_gap=None if status is Status.SEPARATED or found.gap is None else found.gap / null.sum(),
    )


def check_memory(
    config: ConfigDict,
    source: Source,
    num_rows: int,
    *,
    solver: str,
    output: str,
    strategy: tf.distribute.Strategy,
) -> None:
    """Whether the host has room for what a fit keeps beside the rows, before it is begun.

    Raises:
        InputError: it has not, on some worker.
    """
    p, classes, team = len(source.columns), len(source.class_names), workers.of(strategy)
    count, outputs = (classes, 1) if output == "one_vs_rest" else (1, classes if output == "softmax" else 1)
    needed = 8.0 * 40 * count * outputs * (p + 1)  # gradients, and their history
    if solver in ("newton", "proximal_newton"):
        needed = count * solution.bytes_of_problem(p, outputs, config.model.bias, num_rows)
        needed += 8 * p * sample.size(num_rows, p)
    free = float(team.gather(np.array(placement.host_memory())).min())
    if needed > free:
        raise InputError(
            f"x: a full-batch fit of {p:,} features and {count * outputs:,} outputs takes about "
            f"{needed / 2**30:.1f} GiB of memory beside the rows. Received: {free / 2**30:.1f} GiB free. "
            "Take fewer features or classes, or solver.name='minibatch'."
        )


def place_rows(
    strategy: tf.distribute.Strategy,
    source: Source,
    rows: np.ndarray,
    columns: moments.Affine,
    dtype: str,
    device_memory_fraction: float,
    folds: np.ndarray | None = None,
    resident: Callable = on_devices.resident,
) -> on_devices.SumRows:
    """Passes over the rows: on the devices when they take at most the given share, else streamed."""
    place, dtype = resident, tf.as_dtype(dtype)
    if not placement.fits(strategy, len(rows), len(source.columns), dtype, device_memory_fraction):
        log.info("The training rows take more than the share of device memory: each pass streams them.")
        place = on_devices.streamed
    return place(strategy, source, rows, columns, dtype, folds)


def positives(count: int) -> np.ndarray:
    """[count] int32: each class against the rest when there are several problems, else -1."""
    return np.arange(count, dtype=np.int32) if count > 1 else np.full(1, -1, np.int32)


def null_models(
    certified: Certified, class_weight_sum: np.ndarray, *, offset: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The best models without features, where a fit begins and by which its gap is measured.

    Args:
        certified: the K problems.
        class_weight_sum: [C], or [K, C] where problems have other rows, the sums of row weights.
        offset: rows have offsets; the start is then the best bias beside none.

    Returns:
        w [K, P] and losses [K] in nats; at zero for models without bias.
    """
    problems = certified.problems
    p, m = problems.shape
    shares = problems.class_weight * class_weight_sum
    own = np.take_along_axis(shares, np.maximum(problems.positive, 0)[:, None], axis=1)
    pairs = np.concatenate([shares.sum(axis=1, keepdims=True) - own, own], axis=1)
    w, null, known = np.zeros((len(shares), p + problems.bias, m)), np.zeros(len(shares)), {}
    for k, positive in enumerate(problems.positive):
        mine = shares[k] if positive < 0 else pairs[k]
        bias, null[k] = _null_model(mine / mine.sum(), m, problems.bias)
        if problems.bias:
            w[k, p] = bias
        if offset:
            key = problems.held_out[k], problems.latest[k]
            if key not in known:
                known[key] = _null_with_offset(
                    certified.blocks(np.array([k])),
                    certified.problem(np.zeros(w[k].size), k),
                    certified.team.gather,
                )
            null[k] = known[key]
    return w.reshape(len(w), -1), null


def _worst(status: list[Status]) -> int:
    """Which of several problems says how the whole ended."""
    order = (Status.OPTIMAL, Status.MAX_PASSES, Status.SEPARATED, Status.DIVERGED)
    return max(range(len(status)), key=lambda k: order.index(status[k]))


def _sum_of(found: list[certificate.Certificate]) -> certificate.Certificate:
    """Of the sum of several problems' objectives: bounds add up, where all have one."""
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
    """[p] float64; ones for ().

    Raises:
        InputError: another number of them.
    """
    if len(factor) not in (0, len(columns)):
        raise InputError(
            f"penalty_factor: expected {len(columns)} numbers, one a feature ({describe(columns)}), or (). "
            f"Received: {len(factor)}."
        )
    return np.array(factor, float) if factor else np.ones(len(columns))


def _null_model(shares: np.ndarray, outputs: int, bias: bool) -> tuple[np.ndarray, float]:
    """The best bias [m] without any feature, and its loss in nats; at zero for a model without bias."""
    if not bias:
        return np.zeros(outputs), float(np.log(len(shares)))
    logs = np.log(shares)
    return logs[1:] - logs[:1] if outputs == 1 else logs - logs.mean(), float(-(shares * logs).sum())


def _null_with_offset(blocks, problem: host.Problem, gather: sums.Gather) -> float:
    """The loss of the best bias beside the offsets; at zero for a model without bias."""

    def bare():
        return (dataclasses.replace(block, x=block.x[:, :0]) for block in blocks())

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
