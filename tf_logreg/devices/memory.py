"""Large arrays that NumPy and TensorFlow share on the host, so that X exists once.

`tf.convert_to_tensor` makes two copies on the way, and TensorFlow's kernels abort the process on
memory that is not aligned to 64 bytes, as NumPy's arrays seldom are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import psutil

from tf_logreg.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_ALIGNMENT = 64


def check(needed: float, what: str) -> None:
    """Checks that an allocation fits in this machine's memory, before it is made.

    Raises:
        InputError: they do not; `what` takes them.
    """
    have = psutil.virtual_memory().total
    if needed > have:
        raise InputError(
            f"{what} takes about {needed / 2**30:,.3g} GiB: expected at most this machine's "
            f"{have / 2**30:,.3g} GiB."
        )


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array that `tensor` does not have to copy."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def tensor(array: np.ndarray) -> tf.Tensor:
    """The array as a tensor on the host: shares the array's memory if possible, else makes one copy.

    Shared memory must not be written to afterwards.
    """
    import tensorflow as tf

    if array.dtype == tf.bfloat16.as_numpy_dtype:
        return tf.bitcast(tensor(array.view(np.uint16)), tf.bfloat16)
    if not array.size:
        return tf.constant(array)
    lendable = array.flags.writeable and array.flags.c_contiguous and array.dtype.isnative
    if not lendable or array.ctypes.data % _ALIGNMENT:
        copy = empty(array.shape, array.dtype.newbyteorder("="))
        copy[...] = array
        array = copy
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
