"""What the devices of this process do at most: bytes a second from memory, operations of products a second.

Of a TPU's chips these are the maker's figures. Of anything else they are measured, here and now, by an array
that is read once and by a product of two matrices.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_logreg import machine
from tf_logreg.devices import chips, hardware, placement
from tf_logreg.devices.devices import Devices

# bfloat16 products of a TPU for each float32 product that is exact, by the dtype of X.
_TPU_PRODUCTS = {"float32": 6, "bfloat16": 3}
_BLOCK_BYTES = 2**22  # stays in a core's cache
_CPU_BYTES, _CPU_SIZE = 2**28, 1536  # of the array that is read; of the matrices
_BYTES, _SIZE = 2**30, 8192  # the same on an accelerator, whose calls take long
_TRIES = 4


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the devices of this process do at most, all together.

    Attributes:
        bandwidth: bytes a second from memory.
        peak: operations a second of products in the fit's dtype.
        exact_peak: the same of products that are exact to float32, as gradients need them.
        origin: of these figures, for people.
    """

    bandwidth: float
    peak: float
    exact_peak: float
    origin: str

    def seconds(self, num_bytes: float, operations: float, *, exact: bool) -> float:
        """The least time for so many bytes and operations."""
        return max(num_bytes / self.bandwidth, operations / (self.exact_peak if exact else self.peak))


def of(devices: Devices, found: hardware.Hardware | None = None) -> Limits:
    """The limits of the devices of this process.

    Args:
        devices: where a fit runs.
        found: what the machine has; None looks.
    """
    strategy, found = devices.strategy, found or hardware.look()
    names = placement.devices(strategy)
    if placement.on_tpu(strategy) and found.kind in chips.CHIPS:
        chip, count = chips.CHIPS[found.kind], len(found.chips)
        return Limits(
            count * chip.bandwidth,
            count * chip.peak,
            count * chip.peak / _TPU_PRODUCTS[devices.dtype],
            f"published, {count} x {found.kind}",
        )
    bandwidth, peak = _of_cores(devices) if "CPU" in names[0] else _of_device(devices, names[0], len(names))
    return Limits(bandwidth, peak, peak, "measured here")


def _of_cores(devices: Devices) -> tuple[float, float]:
    """Bytes and operations a second of this process' cores."""
    array = np.ones(_CPU_BYTES // 4, np.float32)
    blocks = np.split(array, _CPU_BYTES // _BLOCK_BYTES)

    def read() -> None:
        for _ in machine.in_parallel(lambda block: np.dot(block, block), blocks):
            pass

    a = np.ones((_CPU_SIZE, _CPU_SIZE), devices.weight_dtype)
    return _CPU_BYTES / _fastest(read), 2 * _CPU_SIZE**3 / _fastest(lambda: a @ a)


def _of_device(devices: Devices, name: str, count: int) -> tuple[float, float]:
    """Bytes and operations a second of `count` devices like this one."""
    with tf.device(name):
        array = tf.ones(_BYTES // 4, tf.float32)
        a = tf.ones((_SIZE, _SIZE), devices.weight_dtype)
        # The value comes to the host, so that the time is not that of asking for it.
        reading = _fastest(lambda: tf.reduce_max(array).numpy())
        product = _fastest(lambda: tf.matmul(a, a)[0, 0].numpy())
    return count * _BYTES / reading, count * 2 * _SIZE**3 / product


def _fastest(function: Callable[[], object]) -> float:
    """Seconds of the fastest of some calls: whatever else the machine does makes it slower, never faster."""
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
