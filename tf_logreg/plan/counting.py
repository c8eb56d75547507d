"""How many passes a fit takes, and how fast the host certifies: measured on planted rows, on this machine."""

import dataclasses
import time

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg import machine
from tf_logreg.data import dataset as datasets
from tf_logreg.data import load
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.devices.strategies import make_strategy
from tf_logreg.exact import host, sums
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor

_READ_ROWS = 1024  # planted rows made at a time


@dataclasses.dataclass(frozen=True)
class Count:
    """What one fit of planted rows took.

    Attributes:
        num_rows: of the fit. status: how it ended.
        calls: how often each device program was asked for, by its name.
        host_passes: float64 passes on the host, certificates and refinement.
        seconds: on this machine.
    """

    num_rows: int
    status: str
    calls: dict[str, int]
    host_passes: float
    seconds: float


def measure(config: ConfigDict, num_rows: int, num_features: int, num_classes: int, dtype: str) -> Count:
    """Fits planted rows of the same p and C by the config's solver section, on one device.

    The rows are standard normal, their labels drawn from a softmax of planted weights; every class has one.
    """
    x, y = _planted(num_rows, num_features, num_classes)
    source, rows = from_arrays(x, y, class_names=tuple(map(str, range(num_classes)))), np.arange(num_rows)
    devices = Devices(make_strategy("one_device"), dtype, engine="devices")  # Hessians are made as on a TPU
    settings = config.copy_and_resolve_references()
    settings.solver.name = "auto" if config.solver.name == "minibatch" else config.solver.name
    settings.cv.folds, settings.path.penalty = 0, ""
    settings.solver.polish = False  # the planted rows are few, those of the job may not be
    dataset = datasets.of_rows(source, {"train": rows}, settings, devices)
    start = time.perf_counter()
    trained = learn.learn(settings, dataset, devices, Monitor()).trained
    calls = dict(trained.made)
    host_passes = calls.pop("float64", 0)
    return Count(num_rows, trained.status.value, calls, host_passes, time.perf_counter() - start)


def host_rate(num_features: int, num_classes: int) -> float:
    """Multiply-adds a second and core, p m a row, of a certificate's pass on this machine."""
    outputs = 1 if num_classes == 2 else num_classes
    cores = machine.cores()
    # Blocks of the size that a run reads them in, enough of them for every core.
    size = host.block_elements(num_features, outputs) // num_features
    x, y = _planted(size, num_features, num_classes, every_class=False)
    block = host.Block(x, y, np.ones(size), np.zeros((size, 1)), np.zeros(size, int))
    zeros = np.zeros((num_features + 1, outputs))
    w = np.random.default_rng(0).normal(size=zeros.shape) / num_features**0.5
    problem = host.Problem(w, x.mean(axis=0, dtype=float), zeros, zeros + 1.0, np.ones(num_classes))

    def seconds_of(count: int) -> float:
        start = time.perf_counter()
        sums.first_pass(lambda: [block] * count, [problem])
        return time.perf_counter() - start

    count = cores
    while (seconds := seconds_of(count)) < 0.5:
        count *= 2
    # Whatever else the machine does makes it slower, never faster.
    fastest = min(seconds, *(seconds_of(count) for _ in range(3)))
    return count * size * num_features * outputs / fastest / cores


def _planted(num_rows: int, num_features: int, num_classes: int, *, every_class: bool = True):
    """X float32 [n, p] and y int32 [n]."""
    source = load.load("synthetic", num_rows=num_rows, num_features=num_features, num_classes=num_classes)
    starts = range(0, num_rows, _READ_ROWS)
    batches = [source.read(tf.range(i, min(i + _READ_ROWS, num_rows), dtype=tf.int64)) for i in starts]
    x = np.concatenate([batch.x.numpy() for batch in batches])
    y = np.concatenate([batch.y.numpy() for batch in batches])
    if every_class:
        y[:num_classes] = np.arange(num_classes)
    return x, y
