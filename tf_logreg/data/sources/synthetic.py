"""Any number of rows from known weights; each row is computed from its index when it is read.

The features are standard normal with correlation `correlation` between any two columns (one common
factor); the labels are drawn from the logistic model at `coefficients(...)`. Nothing is stored, so a
billion rows cost no memory, and row i is the same row in any batch, order or worker.
"""

import numpy as np
import tensorflow as tf

from tf_logreg.data.source import Batch, Source, default_names, no_offset
from tf_logreg.devices import memory
from tf_logreg.errors import InputError

VERSION = 1  # increases when the same arguments give other rows
_BLOCK_ELEMENTS = 2**22  # labels are drawn in blocks of this many features


def load(
    num_rows: int = 10_000,
    num_features: int = 20,
    num_classes: int = 2,
    correlation: float = 0.0,
    seed: int = 0,
) -> Source:
    """A planted logistic regression.

    Args:
        num_rows: n.
        num_features: p.
        num_classes: C; two classes follow the sigmoid model, more the softmax model.
        correlation: in [0, 1), between any two features.
        seed: of the weights and the rows.

    Raises:
        InputError: a size below 1 (2 for classes) or beyond memory, or a correlation outside [0, 1).
    """
    for name, value, least in (
        ("num_rows", num_rows, 1),
        ("num_features", num_features, 1),
        ("num_classes", num_classes, 2),
    ):
        if value < least:
            raise InputError(f"data.args.{name}: expected at least {least}. Received: {value}.")
    if seed < 0:
        raise InputError(f"data.args.seed: expected a whole number >= 0. Received: {seed}.")
    memory.check(16.0 * num_rows, f"data.args.num_rows={num_rows}: the ids of the rows")
    outputs = 1 if num_classes == 2 else num_classes
    numbers = 24.0 * num_features * outputs + 64.0 * (num_features + num_classes)
    sizes = f"data.args.num_features={num_features}, data.args.num_classes={num_classes}"
    memory.check(numbers, f"{sizes}: the model of the rows")
    if not 0 <= correlation < 1:
        raise InputError(f"data.args.correlation: expected a number in [0, 1). Received: {correlation}.")
    kernel, bias = coefficients(num_features, num_classes, seed)

    def read(rows: tf.Tensor) -> Batch:
        # Column 0 is the common factor, column p + 1 the uniform number that draws the label.
        uniform = _uniform(rows, num_features + 2, seed)
        normal = tf.math.ndtri(uniform[:, :-1])
        x = (1 - correlation) ** 0.5 * normal[:, 1:] + correlation**0.5 * normal[:, :1]
        logits = tf.matmul(x, tf.cast(kernel, tf.float32)) + tf.cast(bias, tf.float32)
        if num_classes == 2:
            logits = tf.pad(logits, [[0, 0], [1, 0]])
        below = tf.cumsum(tf.nn.softmax(logits), axis=1)[:, :-1]
        y = tf.reduce_sum(tf.cast(uniform[:, -1:] > below, tf.int32), axis=1)
        return Batch(x, y, tf.ones_like(rows, tf.float32), no_offset(rows, x.dtype), rows)

    def read_labels(rows: np.ndarray) -> np.ndarray:
        size = max(1, _BLOCK_ELEMENTS // num_features)
        blocks = (tf.constant(rows[i : i + size]) for i in range(0, len(rows), size))
        return np.concatenate([read(block).y.numpy() for block in blocks])

    return Source(
        feature_names=default_names(num_features),
        class_names=tuple(str(c) for c in range(num_classes)),
        splits={"train": range(num_rows)},
        read=read,
        labels=read_labels,
        x_dtype=np.dtype(np.float32),
    )


def coefficients(num_features: int, num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The planted weights: kernel [p, C or 1] of size about 1 / sqrt(p), bias [C or 1], float64."""
    rng = np.random.default_rng(seed)
    outputs = 1 if num_classes == 2 else num_classes
    kernel = rng.normal(size=(num_features, outputs)) * 2 / np.sqrt(num_features)
    return kernel, rng.normal(size=outputs) / 2


def _uniform(rows: tf.Tensor, columns: int, seed: int) -> tf.Tensor:
    """Numbers in (0, 1) that depend on (seed, row, column) alone; float32 [B, columns].

    TensorFlow's stateless generators take one seed per call, not one per row. This is SplitMix64
    (Steele, Lea and Flood, OOPSLA 2014, fig. 17) read at position row * columns + column.
    """
    position = tf.cast(rows, tf.uint64)[:, None] * columns + tf.cast(tf.range(columns), tf.uint64)
    golden, first, second = (
        tf.constant(value, tf.uint64)
        for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
    )
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    z = tf.constant(start, tf.uint64) + (position + 1) * golden
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, 30)) * first
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, 27)) * second
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, 31))
    # The upper 23 bits, at the middle of their interval: exact in float32 and never 0 or 1.
    return (tf.cast(tf.bitwise.right_shift(z, 41), tf.float32) + 0.5) * 2.0**-23
