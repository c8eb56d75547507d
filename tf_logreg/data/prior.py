"""A prior: coefficients of an earlier run, towards which l2 pulls those of a fit.

With w = w0 + v the penalty is one on v, and x w0 is an offset of each row. So a fit towards w0 is a fit of v
to rows with offsets: its solvers and certificates need to know nothing else.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg.data.source import Batch, Source

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Prior:
    """Coefficients of an earlier run for the features of this one.

    Attributes:
        kernel: [p, m] float64 in raw units, zero for features that the run did not have. bias: [m], its own.
        workdir: of that run. matched: features that both have. left_out: features that only it has.
    """

    kernel: np.ndarray
    bias: np.ndarray
    workdir: str
    matched: int
    left_out: int

    def in_units(self, exponent: np.ndarray) -> np.ndarray:
        """The kernel for columns in units of 2^exponent, [p] int."""
        return np.ldexp(self.kernel, exponent[:, None])


def with_offset(source: Source, kernel: np.ndarray) -> Source:
    """The same rows with x times a kernel [p, m], in the units of the source, added to their offsets.

    On the host the offsets are float64, so that certificates lose nothing; TensorFlow reads them in the dtype
    of x.
    """

    def host(rows: np.ndarray) -> Batch:
        batch = source.host(rows)
        return batch._replace(offset=batch.x @ kernel + batch.offset)

    def read(rows: tf.Tensor) -> Batch:
        import tensorflow as tf

        batch = source.read(rows)
        found = tf.matmul(tf.cast(batch.x, tf.float64), kernel) + tf.cast(batch.offset, tf.float64)
        return batch._replace(offset=tf.cast(found, batch.offset.dtype))

    return dataclasses.replace(source, read=read, host=source.host and host, offset_columns=kernel.shape[1])
