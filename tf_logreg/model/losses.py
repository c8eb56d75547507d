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


def class_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Probabilities of all classes, [B, C] also for one output; rows sum to one.

    Args:
        logits: [B, 1] or [B, C].
    """
    if logits.shape[-1] == 1:
        # sigmoid(-z), not 1 - sigmoid(z), keeps the digits of a small probability.
        return tf.sigmoid(tf.concat([-logits, logits], axis=1))
    return tf.nn.softmax(logits)
