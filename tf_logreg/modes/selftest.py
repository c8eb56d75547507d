"""Checks on the devices at hand, as a block of text for a bug report.

It answers what the first user of a GPU or TPU asks: is it used, are its gradients and a short
training right (against float64 in NumPy, which shares no code with them), which programs compile, how long
does each take beside what the chip allows, and does X stay on the device.
"""

import dataclasses
import functools
import itertools
import platform
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import dataset as datasets
from tf_logreg.data import moments, pipeline
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import Batch, Source
from tf_logreg.devices import placement
from tf_logreg.devices.devices import Devices
from tf_logreg.fit.minibatch import feed, loop, optimizers
from tf_logreg.model import head as heads
from tf_logreg.model import keras_model
from tf_logreg.modes import limits as device_limits
from tf_logreg.modes import pass_times
from tf_logreg.modes.limits import Limits
from tf_logreg.modes.pass_times import Pass

_SGD = {"name": "SGD", "learning_rate": 0.5, "args": {}, "l1": 0.0}
_ADAM = {"name": "Adam", "learning_rate": 1e-3, "args": {}, "l1": 0.0}
_SIZES = {"rows": 65_536, "features": 784, "classes": 10, "batch": 1024}
_STEPS = 50  # of minibatches, at a time
_ROWS_ON_A_CHIP = 2**18  # which reads them faster than it is told to
_SMALL = (20, 2)  # features and classes of a fit that builds its Hessian


def run(devices: Devices) -> dict[str, Any]:
    """Runs all checks.

    Args:
        devices: where the replicas live, and the dtype of X.

    Returns:
        What was found, as `selftest.json` has it: versions and devices; `errors` of a gradient and a short
        training relative to float64, None where they are no numbers; `faults` by the name of a check that
        could not be made; `limits`, `programs`, and `seconds` of it all.
    """
    start = time.perf_counter()
    strategy, names = devices.strategy, placement.devices(devices.strategy)
    errors, faults = {}, {}
    for name, check in (("gradient", _gradient_error), ("training", _training_error)):
        errors[name], why = pass_times.tried(lambda check=check: _number(check(devices)))
        faults |= {name: why} if why else {}
    limits = device_limits.of(devices)
    programs = [*_minibatches(devices, limits), *_passes(devices, limits)]
    held, why = pass_times.tried(lambda: _where_x_stays(devices))
    faults |= {"X stays on": why} if why else {}
    return {
        "version": tf_logreg.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
        "strategy": type(strategy).__name__,
        "replicas": devices.replicas,
        "dtype": devices.dtype,
        "devices": [name.split("/")[-1] for name in names],
        "engine": devices.engine,
        "errors": errors,
        "x_stays_on": held or [],
        "limits": dataclasses.asdict(limits),
        "programs": [dataclasses.asdict(one) for one in programs],
        "faults": faults,
        "seconds": time.perf_counter() - start,
    }


def block(found: dict[str, Any]) -> str:
    """What `run` found, as text to paste into a report."""
    versions, limits, faults = found["versions"], found["limits"], found["faults"]
    engine = "host: NumPy on this machine's cores" if found["engine"] == "host" else "devices: TensorFlow"
    said = {"gradient": "from float64, relative", "training": "from float64 after 20 steps of SGD, relative"}
    checks = []
    for name, error in found["errors"].items():
        number = "no number" if error is None else f"{error:.1e}"
        checks.append(f"{name:<12}{faults.get(name) or f'{number} {said[name]}: {_judge(error)}'}")
    rates = f"{limits['bandwidth'] / 1e9:,.1f} GB/s, {limits['peak'] / 1e12:,.2f} T operations/s"
    lines = [
        f"tf_logreg {found['version']} selftest",
        f"python      {found['python']} on {found['platform']}",
        f"versions    {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"strategy    {found['strategy']}, {found['replicas']} replica(s), X in {found['dtype']}",
        f"devices     {', '.join(found['devices'])}",
        f"engine      {engine}",
        *checks,
        f"X stays on  {faults.get('X stays on') or ', '.join(found['x_stays_on'])}",
        f"limits      {rates}, {limits['origin']}",
        f"seconds     {found['seconds']:.1f}",
        "",
        *pass_times.table([Pass(**one) for one in found["programs"]]),
    ]
    return "\n".join(lines)


def fault(found: dict[str, Any]) -> str:
    """What is wrong with the devices, in a sentence; '' where nothing is."""
    errors = {name: error for name, error in found["errors"].items() if name not in found["faults"]}
    if "WRONG" in map(_judge, errors.values()):
        return "The devices compute something else than the mathematics. Please report this block."
    failed = [*found["faults"], *(one["name"] for one in found["programs"] if one["fault"])]
    if failed:
        return f"Does not run on these devices: {', '.join(failed)}. Please report this block."
    return ""


def _number(value: float) -> float | None:
    """The number; None for one that JSON does not have."""
    return float(value) if np.isfinite(value) else None


def _judge(error: float | None) -> str:
    """A word for a relative error: float32 gives 1e-6, products in 16 bit or TF32 1e-3."""
    if error is None:
        return "WRONG"
    return "ok" if error < 1e-4 else "low precision (16 bit or TF32 products)" if error < 3e-2 else "WRONG"


@functools.cache
def _problem(rows: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray, Source]:
    """Seeded normal features in numbers that bfloat16 holds exactly, random labels."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(rows, features)) * 16).astype(np.float32) / 16
    y = rng.integers(0, classes, rows).astype(np.int32)
    return x, y, from_arrays(x, y, class_names=tuple(map(str, range(classes))))


def _reference_gradient(x: np.ndarray, y: np.ndarray, kernel: np.ndarray, bias: np.ndarray):
    """Mean gradient of the softmax log loss by kernel and bias, float64, from the formula X^T (P - Y) / n."""
    z = x.astype(np.float64) @ kernel + bias
    p = np.exp(z - z.max(axis=1, keepdims=True))
    error = p / p.sum(axis=1, keepdims=True) - np.eye(kernel.shape[1])[y]
    return x.T.astype(np.float64) @ error / len(y), error.mean(axis=0)


def _gradient_error(devices: Devices) -> float:
    """Relative error of the program that training runs, on every replica; the largest."""
    x, y, _ = _problem(512, 100, 7)
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(100, 7)).astype(np.float32) / 4, rng.normal(size=7).astype(np.float32)
    ids = tf.range(512, dtype=tf.int64)
    batch = Batch(tf.cast(x, devices.dtype), tf.constant(y), tf.ones(512), tf.zeros([512, 1]), ids)

    @tf.function(autograph=False)
    def sums():
        return devices.strategy.run(
            loop.loss_and_gradient, args=(tf.constant(kernel), tf.constant(bias), batch)
        )

    expected, _ = _reference_gradient(x, y, kernel, bias)
    found = devices.strategy.experimental_local_results(sums()[2])
    return max(np.abs(part.numpy() / 512 - expected).max() / np.abs(expected).max() for part in found)


def _training_error(devices: Devices) -> float:
    """Relative error of the kernel after 20 minibatch steps, against the same steps in NumPy."""
    x, y, source = _problem(1000, 30, 5)
    model, step = _training(devices, source, "resident", _SGD, batch_size=128)
    step(0, 20)
    kernel, bias, done = np.zeros((30, 5)), np.zeros(5), 0
    for epoch in range(3):
        order = pipeline.epoch_order(1000, 0, epoch).numpy()
        for rows in np.split(order, range(128, 1000, 128)):
            if done < 20:
                gradient = _reference_gradient(x[rows], y[rows], kernel, bias)
                kernel, bias, done = kernel - 0.5 * gradient[0], bias - 0.5 * gradient[1], done + 1
    return np.abs(keras_model.get_weights(model)[0] - kernel).max() / np.abs(kernel).max()


def _where_x_stays(devices: Devices) -> list[str]:
    """The devices that hold X when it is resident."""
    parts = [np.ones((8, 8), np.float32)] * len(placement.devices(devices.strategy))
    held = devices.strategy.experimental_local_results(placement.place(devices.strategy, parts))
    return [part.device.split("/")[-1] for part in held]


def _minibatches(devices: Devices, limits: Limits) -> list[Pass]:
    """A step of minibatches, with rows from the host and with rows on the devices."""
    batch, p, m = _SIZES["batch"], _SIZES["features"], _SIZES["classes"]
    _, _, source = _problem(_SIZES["rows"], p, m)
    mine, operations = batch / devices.workers.count, pass_times.operations("value_and_gradient", p, m)
    limit = limits.seconds(mine * p * pass_times.BYTES[devices.dtype], mine * operations, exact=True)
    found = []
    for kind in ("streamed", "resident"):
        program = Pass(f"step, {kind}", (batch, p, m), compiled=True, limit=limit)
        found.append(pass_times.timed(program, _steps(devices, source, kind, batch), runs=_STEPS))
    return found


def _steps(devices: Devices, source: Source, kind: str, batch: int) -> Callable[[], float]:
    """A function that makes the next steps of a training, which is built in its first call."""
    training = functools.cache(lambda: _training(devices, source, kind, _ADAM, batch_size=batch)[1])
    done = itertools.count(0, _STEPS)
    return lambda: training()(next(done), _STEPS)


def _passes(devices: Devices, limits: Limits) -> list[Pass]:
    """The passes of full-batch fits, of many coefficients and of few."""
    x, y, _ = _problem(_SIZES["rows"], _SIZES["features"], _SIZES["classes"])
    if not placement.on_cpu(devices.strategy):
        times = _ROWS_ON_A_CHIP * devices.replicas // len(x)
        x, y = np.tile(x, (times, 1)), np.tile(y, times)
    p, classes = _SMALL
    few = from_arrays(np.ascontiguousarray(x[:, :p]), y % classes, class_names=("0", "1"))
    many = from_arrays(x, y, class_names=tuple(map(str, range(_SIZES["classes"]))))
    return [one for source in (many, few) for one in pass_times.of_fit(devices, source, limits)]


def _training(
    devices: Devices, source: Source, kind: str, optimizer: dict, *, batch_size: int
) -> tuple[keras.Sequential, Callable[[int, int], float]]:
    """A softmax model and its steps, from the parts that a real run uses."""
    head = heads.resolve("softmax", len(source.class_names))
    with devices.strategy.scope():
        model = keras_model.build(len(source.feature_names), head, bias=True, dtype="float32")
        made = optimizers.make(**optimizer)
    loop.build_optimizer(devices.strategy, made, model)
    update = loop.make_update(model, made, l1=0.0, l2=0.0, clip_norm=0.0)
    rows = {"train": np.arange(len(source.splits["train"]))}
    dataset = datasets.of_rows(source, rows, configs.get_config(), devices)
    columns = moments.Affine(np.zeros(len(source.feature_names)), np.ones(len(source.feature_names)))
    feed_of = feed.resident if kind == "resident" else feed.streamed
    steps, _ = feed_of(devices, dataset, columns, pipeline.Order(batch_size, 1000, 0), update)
    return model, steps
