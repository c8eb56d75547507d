"""Sums over rows of the log loss and its derivatives, for K problems that share each read of X.

Each function takes weights w [K, q, m] (q = p + 1, the bias last), the problems and some rows, and
returns a tuple of sums over those rows: of numerators and of weights, undivided, so that blocks,
replicas and workers add up to the same whole however uneven they are. The penalties are no sum over
rows; whoever divides adds them (`fit/full_batch/penalized.py`). A single fit is K = 1.
"""

import tensorflow as tf

from tf_logreg.objective import linear, losses
from tf_logreg.objective.records import Problems, Rows


def value_and_gradient(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, ...]:
    """Sums of weights [K], of weighted losses [K] in nats, and the latter's gradient [K, q, m]."""
    loss, error = losses.loss_and_error(_logits(w, rows), _labels(w, problems, rows))
    weight = _weights(problems, rows, w.dtype)
    return (
        tf.reduce_sum(weight, axis=0),
        tf.reduce_sum(weight * loss, axis=0),
        linear.transposed(rows.x, weight[..., None] * error),
    )


def value(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
    """`value_and_gradient` without the gradient, which is larger than a few wide rows."""
    loss, _ = losses.loss_and_error(_logits(w, rows), _labels(w, problems, rows))
    weight = _weights(problems, rows, w.dtype)
    return tf.reduce_sum(weight, axis=0), tf.reduce_sum(weight * loss, axis=0)


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


def pooled_gram(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, ...]:
    """Sums of weights [K], of d_ic [x_i, 1] [K, q, m], and of d_ic [x_i, 1] [x_i, 1]^T over all c [K, q, q].

    d_ic = s_i p_ic (1 - p_ic) is the curvature of row i along output c. The last is the sum of the Hessian's
    diagonal blocks, a preconditioner for each of them (`fit/full_batch/preconditioner.py`).
    """
    p = losses.probabilities(_logits(w, rows))
    weight = _weights(problems, rows, w.dtype)
    d = weight[..., None] * p * (1 - p)
    return (
        tf.reduce_sum(weight, axis=0),
        linear.transposed(rows.x, d),
        linear.gram(rows.x, tf.reduce_sum(d, axis=-1)),
    )


def held_out(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, ...]:
    """Sums over each problem's held-out rows, by which models are compared.

    They are the user's row weights by class [K, C], weighted log losses [K] in nats, and the weights by class
    of the rows whose most probable class is their own [K, C]. Class weights are left out: they say what to
    fit, not what a prediction is worth.
    """
    return _held_out_sums(_logits(w, rows), problems, rows)


def held_out_one_vs_rest(w: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, ...]:
    """The same for models [K, q, C] of one sigmoid a class, whose probabilities are made to sum to one."""
    return _held_out_sums(tf.math.log_sigmoid(_logits(w, rows)), problems, rows)


def _held_out_sums(logits: tf.Tensor, problems: Problems, rows: Rows) -> tuple[tf.Tensor, ...]:
    outputs = logits.shape[2]
    loss, _ = losses.loss_and_error(logits, rows.y[:, None] if outputs == 1 else rows.y)
    mine = tf.cast(rows.fold[:, None] == problems.held_out[None, :], loss.dtype)
    weight = tf.cast(rows.weight, loss.dtype)[:, None] * mine
    first = logits[..., 0] > 0 if outputs == 1 else tf.argmax(logits, axis=-1, output_type=tf.int32)
    correct = weight * tf.cast(tf.cast(first, tf.int32) == rows.y[:, None], loss.dtype)
    classes = tf.one_hot(rows.y, max(outputs, 2), dtype=loss.dtype)
    # C^T W, transposed: a sum by class is a product with the classes' indicators.
    return (
        linear.matmul(weight, classes, transpose_a=True),
        tf.reduce_sum(weight * loss, axis=0),
        linear.matmul(correct, classes, transpose_a=True),
    )


def _logits(w: tf.Tensor, rows: Rows) -> tf.Tensor:
    return linear.forward(rows.x, w) + _offset(rows, w.dtype)


def _labels(w: tf.Tensor, problems: Problems, rows: Rows) -> tf.Tensor:
    """The class of each row: [B]; with one output in each problem, [B, K] or [B, 1]."""
    if w.shape[2] > 1:
        return rows.y
    y, positive = rows.y[:, None], problems.positive[None, :]
    return tf.where(positive < 0, y, tf.cast(y == positive, y.dtype))


def _offset(rows: Rows, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(rows.offset, dtype)[:, None, :]


def _weights(problems: Problems, rows: Rows, dtype: tf.DType) -> tf.Tensor:
    """The weight of each row in each problem, [B, K]."""
    # Whole rows of a [C, K] table: gathered along its other axis they would be single numbers.
    by_class = tf.gather(tf.cast(tf.transpose(problems.class_weight), dtype), rows.y)
    fold = rows.fold[:, None]
    counts = tf.cast((fold != problems.held_out) & (fold <= problems.latest), dtype)
    return tf.cast(rows.weight, dtype)[:, None] * by_class * counts
