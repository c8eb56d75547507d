"""Checks on the devices at hand, as a block of text for a bug report.

It answers what the first user of a GPU or TPU asks: is it used, are its gradients and a short
training right (against float64 in NumPy, which shares no code with them), how fast are rows streamed
and resident, and does X stay on the device.
"""

import platform
import time
from collections.abc import Callable

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
from tf_logreg.errors import RunError
from tf_logreg.fit.minibatch import feed, loop, optimizers
from tf_logreg.model import head as heads
from tf_logreg.model import keras_model

_SGD = {"name": "SGD", "learning_rate": 0.5, "args": {}, "l1": 0.0}
_ADAM = {"name": "Adam", "learning_rate": 1e-3, "args": {}, "l1": 0.0}
_SPEED = {"rows": 65_536, "features": 784, "classes": 10, "batch": 1024}


def run(devices: Devices) -> str:
    """Runs all checks.

    Args:
        devices: where the replicas live, and the dtype of X.

    Returns:
        The block.

    Raises:
        RunError: a device computes something else than the mathematics; the message is the block.
    """
    start = time.perf_counter()
    strategy, names = devices.strategy, placement.devices(devices.strategy)
    gradient, training = _gradient_error(devices), _training_error(devices)
    speed = {kind: _rows_per_second(devices, kind) for kind in ("streamed", "resident")}
    held = placement.place(strategy, [np.ones((8, 8), np.float32)] * len(names))
    held = [part.device for part in strategy.experimental_local_results(held)]
    lines = [
        f"tf_logreg {tf_logreg.__version__} selftest",
        f"python      {platform.python_version()} on {platform.platform()}",
        f"versions    tensorflow {tf.__version__}, keras {keras.__version__}, numpy {np.__version__}",
        f"strategy    {type(strategy).__name__}, {devices.replicas} replica(s), X in {devices.dtype}",
        f"devices     {', '.join(device.split('/')[-1] for device in names)}",
        f"gradient    {gradient:.1e} from float64, relative: {_judge(gradient)}",
        f"training    {training:.1e} from float64 after 20 steps of SGD, relative: {_judge(training)}",
        "speed       {rows} x {features}, {classes} classes, Adam, batch {batch}".format(**_SPEED),
        *(f"  {kind:<9} {value:>12,.0f} rows/s" for kind, value in speed.items()),
        f"X stays on  {', '.join(where.split('/')[-1] for where in held)}",
        f"seconds     {time.perf_counter() - start:.1f}",
    ]
    block = "\n".join(lines)
    if "WRONG" in block:
        raise RunError(
            f"{block}\nThe devices compute something else than the mathematics. Please report this block."
        )
    return block


def _judge(error: float) -> str:
    """A word for a relative error: float32 gives 1e-6, products in 16 bit or TF32 1e-3."""
    return "ok" if error < 1e-4 else "low precision (16 bit or TF32 products)" if error < 3e-2 else "WRONG"


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


def _rows_per_second(devices: Devices, kind: str) -> float:
    """Median speed of five stretches of 50 steps."""
    _, _, source = _problem(_SPEED["rows"], _SPEED["features"], _SPEED["classes"])
    _, step = _training(devices, source, kind, _ADAM, batch_size=_SPEED["batch"])
    done, speeds = 0, []
    for count in (50, 50, 50, 50, 50, 50):
        start = time.perf_counter()
        step(done, count)
        done += count
        speeds.append(count * _SPEED["batch"] / (time.perf_counter() - start))
    return float(np.median(speeds[1:]))


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
