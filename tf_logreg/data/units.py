"""Columns and weights in units of powers of two, where their own would over- or underflow.

A power of two changes no digit, so a column of 1e-170 and the same column times 2^500 are one problem.
Columns of ordinary size keep their unit.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg.data import csr
from tf_logreg.data.source import Batch, Source
from tf_logreg.devices import memory
from tf_logreg.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_ORDINARY = 60  # exponents within +- this many leave room for squares and float32
SMALLEST_ORDINARY = 2.0**-_ORDINARY
_FURTHEST = 1e30  # of a value, in units
_BLOCK_ROWS = 2**14


def exponents(largest: np.ndarray) -> np.ndarray:
    """[p] int: the power of two that is a column's unit, from its largest magnitude; 0 for ordinary ones."""
    mantissa, exponent = np.frexp(largest)
    return np.where((mantissa > 0) & (np.abs(exponent) > _ORDINARY), exponent, 0)


def in_units(source: Source, exponent: np.ndarray) -> Source:
    """The same rows with each column divided by 2^exponent, exactly; the source itself if all are zero.

    Values beyond 1e30 units are clipped to it; only rows of weight 0, or that set no unit, have such values.

    Raises:
        InputError: such a column comes from a source read through TensorFlow, which flushes 1e-38 to zero.
    """
    if not exponent.any():
        return source
    if source.host is None:
        lost = np.flatnonzero(exponent < -_ORDINARY)
        if lost.size and source.x_dtype == np.float32:
            raise InputError(
                f"x: expected columns above {2.0**-_ORDINARY:.0e} from such a source. Received: at most "
                f"{2.0 ** float(exponent[lost[0]]):.0e} in column {source.feature_names[lost[0]]!r}."
            )
        # In two steps, so that each power of two is finite.
        first = np.exp2(-(exponent // 2).astype(float))
        second = np.exp2(-(exponent - exponent // 2).astype(float))

        def read(rows: tf.Tensor) -> Batch:
            import tensorflow as tf

            batch = source.read(rows)
            x = tf.cast(batch.x, tf.float64) * first * second
            return batch._replace(x=tf.cast(tf.clip_by_value(x, -_FURTHEST, _FURTHEST), batch.x.dtype))

        return dataclasses.replace(source, read=read)

    # NumPy keeps numbers so small that TensorFlow's kernels would flush them to zero.
    def host(rows: np.ndarray) -> Batch:
        batch = source.host(rows)
        if source.sparse:
            values, own = batch.x.data, exponent[batch.x.indices]
            return batch._replace(x=csr.with_values(batch.x, in_units_of(values, own)))
        return batch._replace(x=in_units_of(batch.x, exponent))

    def in_units_of(values: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        found = np.ldexp(values.astype(np.float64), -exponent)
        return np.clip(found, -_FURTHEST, _FURTHEST).astype(source.x_dtype)

    @functools.cache
    def scaled() -> tf.Tensor:
        import tensorflow as tf

        num_rows = max(split.stop for split in source.splits.values())
        x = memory.empty((num_rows, len(source.feature_names)), source.x_dtype)
        for start in range(0, num_rows, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, num_rows)
            x[start:stop] = host(np.arange(start, stop)).x
        with tf.init_scope(), tf.device("CPU:0"):
            return memory.tensor(x)

    def gathered(rows: tf.Tensor) -> Batch:
        import tensorflow as tf

        return source.read(rows)._replace(x=tf.gather(scaled(), rows))

    return dataclasses.replace(source, read=gathered, host=host)
