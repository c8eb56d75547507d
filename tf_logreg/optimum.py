"""From the config's solver section to a certified fit: which method, from where, how close, how it ended."""

import dataclasses
import logging
from collections.abc import Callable

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg import workers
from tf_logreg.data import pipeline, standardize
from tf_logreg.data.source import Source, describe
from tf_logreg.errors import InputError
from tf_logreg.fit import checkpoint, full_batch, interrupt, passes, penalized, placement, progress
from tf_logreg.fit.result import FitResult, Status
from tf_logreg.model import certificate, dense, host, separation
from tf_logreg.solvers import load as solvers

log = logging.getLogger(__name__)

# Relative rounding error of a value that the devices sum.
_NOISE = {"float32": 2e-7, "bfloat16": 2e-7, "float64": 1e-15}


def choose(name: str, l1: float) -> str:
    """The method that 'auto' stands for; any other name is kept."""
    if name != "auto":
        return name
    name = "proximal_newton" if l1 > 0 else "newton"
    log.info("solver.name='auto' takes %s, for %s.", name, "exact zeros" if l1 > 0 else "a smooth objective")
    return name


def training_columns(config: ConfigDict, source: Source, scan: standardize.Scan) -> standardize.Affine:
    """Columns of deviation one whatever `standardize` says: the penalties are brought to them instead."""
    return standardize.affine(scan, standardize=True, bias=config.model.bias, dtype=source.x_dtype)


def fit_full_batch(
    config: ConfigDict,
    model: keras.Sequential,
    source: Source,
    rows: np.ndarray,
    columns: standardize.Affine,
    *,
    solver: str,
    strategy: tf.distribute.Strategy,
    dtype: str,
    checkpoints: checkpoint.Checkpoints,
    class_weight_sum: np.ndarray,
    device_memory_fraction: float = 0.5,
    weight_of_class: np.ndarray | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    resident: Callable = passes.resident,
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
        weight_of_class: [C], or None.
        start: raw kernel [p, m] and bias [m] to begin at; zeros when None.
        resident: places rows and gives their passes; another one may count what it is asked.

    Raises:
        InputError: penalty_factor of another length, or a checkpoint that does not fit or cannot be written.
        InterruptError: a signal came; the state is saved.
    """
    num_features, outputs = len(source.columns), model.get_layer("logits").units
    has_bias = config.model.bias
    factor = penalty_factor(config.penalty_factor, source.columns)
    # Penalties act on raw coefficients, or on those of columns of deviation one.
    unit = np.ones(num_features) if config.standardize else columns.scale
    l1, l2 = config.l1 * factor * unit, config.l2 * factor * np.square(unit)
    class_weight = np.ones(len(source.class_names)) if weight_of_class is None else weight_of_class
    place = resident
    if not placement.fits(strategy, len(rows), num_features, tf.as_dtype(dtype), device_memory_fraction):
        log.info("The training rows take more than the share of device memory: each pass streams them.")
        place = passes.streamed
    problems = penalized.Penalized(
        place(strategy, source, rows, columns, tf.as_dtype(dtype)),
        (num_features, outputs),
        has_bias,
        np.array([-1], np.int32),
        class_weight[None],
        l1[None],
        l2[None],
        len(rows),
    )

    team = workers.of(strategy)

    def blocks_of(some: np.ndarray):
        problems.passes += 1
        for batch in pipeline.host_batches(source, some, host.block_elements(num_features, outputs)):
            yield host.Block(batch.x, batch.y, batch.weight, batch.offset, np.zeros(len(batch.y), int))

    def blocks():
        return blocks_of(pipeline.rows_of(rows, team.replicas, strategy.num_replicas_in_sync))

    def to_problem(w: np.ndarray) -> host.Problem:
        """The same problem in raw, centred columns."""

        def raw(penalty: np.ndarray) -> np.ndarray:
            whole = np.zeros((num_features + has_bias, outputs))
            whole[:num_features] = penalty[:, None]
            return whole

        kernel = w.reshape(-1, outputs).copy()
        kernel[:num_features] *= columns.scale[:, None]
        return host.Problem(
            kernel, columns.shift, raw(l1 / columns.scale), raw(l2 / np.square(columns.scale)), class_weight
        )

    def certify(w: np.ndarray, _: np.ndarray) -> list[certificate.Certificate]:
        return certificate.certify(blocks, [to_problem(one) for one in w], team.gather)

    def exact(w: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        problem = to_problem(w[0])
        (sums,) = certificate.first_pass(blocks, [problem], team.gather)
        gradient = sums.gradient + problem.l2 * problem.w
        gradient[:num_features] *= columns.scale[:, None]
        return np.array([sums.loss + (problem.l2 / 2 * np.square(problem.w)).sum()]), gradient.reshape(1, -1)

    def separated(w: np.ndarray, _: int) -> tuple[np.ndarray | None, bool]:
        # A linear programme over all rows, the same on every worker.
        return separation.separating_direction(lambda: blocks_of(rows), to_problem(w), columns.scale)

    shares = class_weight * class_weight_sum
    bias, null = _null_model(shares / shares.sum(), outputs, has_bias)
    if config.data.offset:
        null = _null_with_offset(blocks, to_problem(np.zeros(problems.size)), team.gather)
    w = np.zeros((num_features + has_bias, outputs))
    if has_bias:
        w[num_features] = bias
    if start is not None:
        kernel, bias = (array.astype(np.float64) for array in start)
        w[:num_features] = kernel / columns.scale[:, None]
        if has_bias:
            w[num_features] = bias + columns.shift @ kernel
    target = np.array([config.solver.tol * null])
    with progress.gap_bar(target[0]) as show, interrupt.listen() as interrupted:

        def report(number: float, value: float, gap: float) -> None:
            show(number, value, gap)
            tf.summary.scalar("train/objective", value, step=int(number))

        outcome = full_batch.solve(
            solvers.load(solver),
            problems,
            w.reshape(1, -1),
            target=target,
            max_passes=config.solver.max_passes,
            noise=_NOISE[dtype],
            certify=certify,
            exact=exact,
            separation=separated,
            checkpoints=checkpoints,
            report=report,
            interrupted=lambda: team.any(interrupted()),
        )
    (status,), (found,) = outcome.status, outcome.certificates
    if status is Status.DIVERGED:
        return FitResult(status, outcome.iterations, float(outcome.passes[0]), [])
    w = problems.centred(outcome.w, np.arange(1))[0].reshape(-1, outputs)
    weights = w[:num_features], w[num_features] if has_bias else np.zeros(outputs)
    dense.set_weights(model, *weights)
    message = status.explain()
    if status is Status.MAX_PASSES:
        gap = "unknown" if found.gap is None else f"at most {found.gap / null:.1e} of the null model's loss"
        message = f"after {outcome.passes[0]:.0f} passes the gap is {gap} ({found.reason}); {message}"
    if status is Status.SEPARATED:
        found = dataclasses.replace(found, gap=None, reason="none: the data are separated")
        # In units of the columns' spread, which is how far each moves the logits.
        direction = outcome.running_off[0] / np.append(columns.scale, 1.0)[: len(w), None]
        features, classes = separation.names(direction, source.columns, source.class_names)
        message = f"{message}. Running off: {describe(features)}; classes {describe(classes)}"
    return FitResult(
        status,
        outcome.iterations,
        float(outcome.passes[0]),
        [(number, value) for number, value, _ in outcome.history],
        message=message,
        certificate=found,
        weights=weights,
        relative_gap=None if status is Status.SEPARATED or found.gap is None else found.gap / null,
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


def _null_with_offset(blocks, problem: host.Problem, gather: certificate.Gather) -> float:
    """The loss of the best bias beside the offsets; at zero for a model without bias."""

    def bare():
        return (dataclasses.replace(block, x=block.x[:, :0]) for block in blocks())

    def value_and_gradient(bias: np.ndarray) -> tuple[float, np.ndarray]:
        at = dataclasses.replace(
            problem, w=bias.reshape(-1, outputs), centre=problem.centre[:0], l1=none, l2=none
        )
        (sums,) = certificate.first_pass(bare, [at], gather)
        return sums.loss, sums.gradient.ravel()

    outputs = problem.w.shape[1]
    none = np.zeros((len(problem.w) - len(problem.centre), outputs))
    if not none.size:
        return value_and_gradient(none.ravel())[0]
    return float(scipy.optimize.minimize(value_and_gradient, none.ravel(), jac=True, method="BFGS").fun)
