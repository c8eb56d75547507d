"""Log loss, row by row, from logits: in nats, unreduced, finite for logits of any size."""

import tensorflow as tf


def log_loss(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """-log of the probability that the model gives to each row's class.

    With one output z (sigmoid): log(1 + exp(-z)) for class 1, log(1 + exp(z)) for class 0.
    With C outputs (softmax): log(sum_k exp(z_k)) - z_y.

    Args:
        logits: [B, 1] or [B, C], float32 or float64.
        y: [B] int32, the class index.

    Returns:
        [B] in the dtype of logits, nats.
    """
    if logits.shape[-1] == 1:
        return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(y, logits.dtype), logits[:, 0])
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)


def loss_and_error(logits: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The log loss and its derivative by the logits, p - e_y, of K models from one exponential.

    Args:
        logits: [B, K, m]. y: [B] int32; with one output [B, K] or [B, 1], a problem may have its own.

    Returns:
        loss [B, K] and error [B, K, m].
    """
    if logits.shape[-1] == 1:
        # With t = z for class 0 and -z for class 1 the loss is log(1 + e^t).
        sign = tf.cast(1 - 2 * y, logits.dtype)
        t = sign * logits[..., 0]
        small = tf.exp(-tf.abs(t))
        loss = tf.maximum(t, 0) + tf.math.log1p(small)
        return loss, (sign * tf.where(t > 0, tf.ones_like(small), small) / (1 + small))[..., None]
    top = tf.reduce_max(logits, axis=-1, keepdims=True)
    exp = tf.exp(logits - top)
    total = tf.reduce_sum(exp, axis=-1, keepdims=True)
    target = tf.one_hot(y, logits.shape[-1], dtype=logits.dtype)[:, None, :]
    own = tf.reduce_sum(target * (logits - top), axis=-1)
    return tf.math.log(total[..., 0]) - own, exp / total - target


def probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Of each output, [B, K, m]: the sigmoid's one, or the softmax's C."""
    return tf.sigmoid(logits) if logits.shape[-1] == 1 else tf.nn.softmax(logits)


def curvature_product(p: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """The second derivative of the log loss by the logits, times t: (diag(p) - p p^T) t.

    Args:
        p: [..., m] probabilities of each output. t: the same shape.
    """
    if p.shape[-1] == 1:
        return p * (1 - p) * t
    return p * (t - tf.reduce_sum(p * t, axis=-1, keepdims=True))


def curvature(p: tf.Tensor) -> tf.Tensor:
    """The second derivative itself, [..., m, m]: diag(p) - p p^T, or p (1 - p) with one output."""
    if p.shape[-1] == 1:
        return (p * (1 - p))[..., None]
    return tf.linalg.diag(p) - p[..., :, None] * p[..., None, :]


def class_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Probabilities of all classes, [B, C] also for one output; rows sum to one.

    Args:
        logits: [B, 1] or [B, C].
    """
    if logits.shape[-1] == 1:
        # sigmoid(-z), not 1 - sigmoid(z), keeps the digits of a small probability.
        return tf.sigmoid(tf.concat([-logits, logits], axis=1))
    return tf.nn.softmax(logits)
