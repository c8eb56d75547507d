"""Sums over rows of the log loss and its derivatives, for K problems that share each read of X.

Each function takes weights w [K, q, m] (q = p + 1, the bias last), the problems and some rows, and
returns a tuple of sums over those rows: of numerators and of weights, undivided, so that blocks,
replicas and workers add up to the same whole however uneven they are. The penalties are no sum over
rows; whoever divides adds them (`fit/full_batch.py`). A single fit is K = 1.
"""

from typing import NamedTuple

import tensorflow as tf

from tf_logreg.model import linear, losses


class Rows(NamedTuple):
    """B rows as training sees them."""

    x: tf.Tensor  # [B, p] float32, float64 or bfloat16
    y: tf.Tensor  # [B] int32 class index
    weight: tf.Tensor  # [B] the user's row weights, 0 for padding
    offset: tf.Tensor  # [B, m], or [B, 1] zeros; added to the logits
    fold: tf.Tensor  # [B] int32


class Problems(NamedTuple):
    """What differs between K problems over the same rows."""

    held_out: tf.Tensor  # [K] int32: rows of this fold do not count; -1 for none
    class_weight: tf.Tensor  # [K, C] multiplies the row weights by class


def value_and_gradient(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, ...]:
    """Sums of weights [K], of weighted losses [K] in nats, and the latter's gradient [K, q, m]."""
    loss, error = losses.loss_and_error(_logits(w, rows), rows.y)
    weight = _weights(problems, rows, w.dtype)
    return (
        tf.reduce_sum(weight, axis=0),
        tf.reduce_sum(weight * loss, axis=0),
        linear.transposed(rows.x, weight[..., None] * error),
    )


def hessian_product(
    w: tf.Tensor, v: tf.Tensor, problems: Problems, rows: Rows
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums of weights [K], and the Hessian at w of the weighted losses times v: [K, q, m].

    The logits are computed again, in the same read of X, rather than kept: with many classes they
    are larger than X.
    """
    both = linear.forward(rows.x, tf.concat([w, v], axis=0))
    k = tf.shape(w)[0]
    p = losses.probabilities(both[:, :k] + _offset(rows, w.dtype))
    t = losses.curvature_product(p, both[:, k:])
    weight = _weights(problems, rows, w.dtype)
    return tf.reduce_sum(weight, axis=0), linear.transposed(rows.x, weight[..., None] * t)


def hessian(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums of weights [K], and the Hessian of the weighted losses [K, q m, q m]; for few coefficients."""
    weight = _weights(problems, rows, w.dtype)
    curvature = weight[..., None, None] * losses.curvature(losses.probabilities(_logits(w, rows)))
    k, q, m = tf.shape(w)[0], w.shape[1], w.shape[2]
    blocks = linear.gram(rows.x, tf.reshape(curvature, [-1, k * m * m]))
    whole = tf.transpose(tf.reshape(blocks, [k, m, m, q, q]), [0, 3, 1, 4, 2])
    return tf.reduce_sum(weight, axis=0), tf.reshape(whole, [k, q * m, q * m])


def mean_gram(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums of weights [K], and of s_i d_i x_i x_i^T [K, q, q], d_i the mean over outputs of p (1 - p).

    It is what the diagonal blocks of the Hessian average to: a preconditioner for all classes.
    """
    p = losses.probabilities(_logits(w, rows))
    weight = _weights(problems, rows, w.dtype)
    d = weight * tf.reduce_mean(p * (1 - p), axis=-1)
    return tf.reduce_sum(weight, axis=0), linear.gram(rows.x, d)


def _logits(w: tf.Tensor, rows: Rows) -> tf.Tensor:
    return linear.forward(rows.x, w) + _offset(rows, w.dtype)


def _offset(rows: Rows, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(rows.offset, dtype)[:, None, :]


def _weights(problems: Problems, rows: Rows, dtype: tf.DType) -> tf.Tensor:
    """The weight of each row in each problem, [B, K]."""
    by_class = tf.transpose(tf.gather(problems.class_weight, rows.y, axis=1))
    counts = tf.cast(rows.fold[:, None] != problems.held_out[None, :], dtype)
    return tf.cast(rows.weight, dtype)[:, None] * tf.cast(by_class, dtype) * counts
