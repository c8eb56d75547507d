"""`Devices`: the devices of a run and their properties."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_logreg.devices import cluster, hardware, placement
from tf_logreg.devices import workers as all_workers
from tf_logreg.devices.choices import ENGINES
from tf_logreg.errors import InputError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a run.

    Attributes:
        strategy: a `tf.distribute.Strategy`; each replica runs on a device. None for the CPU cores of this
            process, without TensorFlow.
        dtype: of X while training, one of `choices.DTYPES`.
        memory_fraction: training rows that take at most this share of the devices' memory are placed
            there once; otherwise they are streamed.
        engine: what makes the passes of a full-batch fit, one of `choices.ENGINES`. 'auto' becomes 'host'
            where the only device of each process is its CPU, else 'devices'.
        found: whether strategy and engine were left to us.

    Raises:
        InputError: the engine cannot work on these devices or in this dtype.
    """

    strategy: Any = None
    dtype: str = "float32"
    memory_fraction: float = 0.5
    engine: str = "auto"
    found: bool = False

    def __post_init__(self):
        """Resolves the engine."""
        object.__setattr__(self, "engine", _engine(self))

    @functools.cached_property
    def workers(self) -> all_workers.Workers:
        """The worker processes that share the run."""
        return all_workers.of(self.strategy)

    @property
    def replicas(self) -> int:
        """Number of replicas in all processes."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    @property
    def weight_dtype(self) -> str:
        """Dtype of weights on the devices: float64 with float64 rows, else float32."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def noise(self) -> float:
        """Relative rounding error of a sum computed on the devices."""
        return 1e-15 if self.dtype == "float64" else 2e-7

    @property
    def memory(self) -> float:
        """Memory of one replica's device in bytes, the least over all workers."""
        return float(self.gather(np.array(placement.device_memory(self.strategy))).min())

    @property
    def host_memory(self) -> float:
        """Free memory of a host in bytes, the least over all workers."""
        return float(self.gather(np.array(placement.host_memory())).min())

    def for_rows(self, *, sparse: bool) -> "Devices":
        """The devices for rows of a kind: sparse ones are fitted on the host where nobody asked for more."""
        if not sparse or not self.found or self.engine == "host" or self.workers.count > 1:
            return self
        log.info("Devices: the CPU after all, as the rows are sparse.")
        return dataclasses.replace(self, strategy=None, engine="host")

    def has_room(self, num_rows: int, num_features: int) -> bool:
        """Whether a replica's share of X fits in `memory_fraction` of its device, on every worker."""
        return placement.has_room(self.strategy, num_rows, num_features, self.dtype, self.memory_fraction)

    def together(self, function: Callable[[], Any]) -> Any:
        """`Workers.together`: the function's value; an error on one worker is raised on all."""
        return self.workers.together(function)

    def from_chief(self, function: Callable[[], Any]) -> Any:
        """`Workers.from_chief`: the function's value on the chief, returned on all workers."""
        return self.workers.from_chief(function)

    def gather(self, array: np.ndarray) -> np.ndarray:
        """`Workers.gather`: [workers, *shape] float64, each worker's array."""
        return self.workers.gather(array)

    def any(self, flag: bool) -> bool:
        """`Workers.any`: whether the flag is set on any worker."""
        return self.workers.any(flag)

    def same(self, value: Any, what: str) -> None:
        """`Workers.same`: InputError on all workers if a worker's value differs from the chief's."""
        self.workers.same(value, what)


def devices_of(
    strategy: Any = "auto",
    dtype: str = "float32",
    device_memory_fraction: float = 0.5,
    engine: str = "auto",
    *,
    by_tensorflow: bool = False,
) -> Devices:
    """The devices of a strategy, which may be given by its kind.

    Args:
        strategy: a `tf.distribute.Strategy`; a kind of `make_strategy`; 'auto' or None for this machine's
            accelerators, or the workers of its cluster. Without either they are its cores, and TensorFlow is
            not imported.
        dtype, device_memory_fraction, engine: as the attributes of `Devices`.
        by_tensorflow: whether the fit needs TensorFlow anyway.

    Raises:
        InputError: the strategy cannot be had on this machine, or does not go with the dtype or the engine.
    """
    if strategy is not None and not isinstance(strategy, str):
        return Devices(strategy, dtype, device_memory_fraction, engine)
    kind = (strategy or "auto").lower()
    by_tensorflow |= dtype == "bfloat16" or engine == "devices" or _has_accelerator()
    by_tensorflow |= cluster.has_several("", -1, os.environ.get("TF_CONFIG", ""))
    if kind == "auto" and not by_tensorflow:
        return Devices(None, dtype, device_memory_fraction, engine)
    from tf_logreg.devices import strategies  # imports TensorFlow

    return Devices(
        strategies.make_strategy(kind), dtype, device_memory_fraction, engine, found=kind == engine == "auto"
    )


@functools.cache
def _has_accelerator() -> bool:
    """Whether this process found device files of a GPU, or of a TPU with its library."""
    found = hardware.look()
    return bool(found.gpus) or found.has_tpu


def _engine(devices: Devices) -> str:
    """'host' or 'devices', as asked for or as the devices suggest; InputError where it cannot be."""
    asked, strategy = devices.engine, devices.strategy
    if asked not in ENGINES:
        raise InputError(f"--engine: expected one of {', '.join(ENGINES)}. Received: {asked!r}.")
    if asked == "devices":
        if strategy is None:
            raise InputError("--engine=devices: expected a strategy. Received: none.")
        return asked
    obstacle = ""
    if devices.dtype == "bfloat16":
        obstacle = "--dtype=float32 or float64. Received: bfloat16"
    elif strategy is not None and len(devices.workers.replicas) > 1:
        obstacle = f"one device in each process. Received: {len(devices.workers.replicas)} replicas"
    elif strategy is not None and "CPU" not in (device := placement.devices(strategy)[0]):
        obstacle = f"a CPU as the only device. Received: {device}"
    if obstacle and (asked == "host" or strategy is None):
        raise InputError(f"--engine=host: expected {obstacle}.")
    return "devices" if obstacle else "host"
