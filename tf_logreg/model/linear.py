"""Products with X, for one model and for K models that share each read of X.

K models have their weights in one array w [K, q, m]: q = p + 1, the last row being the bias, and m
outputs. Nothing here knows what the products are for.
"""

import tensorflow as tf


def logits(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """X W + b.

    Args:
        x: [B, p] in any float dtype. bfloat16 is how X is kept, not how it is summed: it is widened
            to the dtype of the kernel, so that products are exact and accumulated in 32 bit.
        kernel: [p, m] float32 or float64.
        bias: [m], the kernel's dtype.

    Returns:
        [B, m] in the kernel's dtype.
    """
    return tf.matmul(tf.cast(x, kernel.dtype), kernel) + bias


def forward(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """X W_k + b_k of K models.

    Args:
        x: [B, p]. w: [K, q, m].

    Returns:
        [B, K, m].
    """
    k, m = tf.shape(w)[0], w.shape[2]
    columns = tf.transpose(w, [1, 0, 2])  # [q, K, m]
    return tf.reshape(
        logits(x, tf.reshape(columns[:-1], [-1, k * m]), tf.reshape(columns[-1], [-1])), [-1, k, m]
    )


def transposed(x: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
    """[X, 1]^T R of K models: the adjoint of `forward`.

    Args:
        x: [B, p]. r: [B, K, m].

    Returns:
        [K, q, m] in the dtype of r.
    """
    k, m = tf.shape(r)[1], r.shape[2]
    flat = tf.reshape(r, [-1, k * m])
    kernel = tf.matmul(tf.cast(x, r.dtype), flat, transpose_a=True)
    both = tf.concat([kernel, tf.reduce_sum(flat, axis=0, keepdims=True)], axis=0)
    return tf.transpose(tf.reshape(both, [-1, k, m]), [1, 0, 2])


def gram(x: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """[X, 1]^T diag(d_j) [X, 1] for J weightings of the rows.

    Args:
        x: [B, p]. d: [B, J].

    Returns:
        [J, q, q] in the dtype of d.
    """
    j = tf.shape(d)[1]
    x = tf.cast(x, d.dtype)
    with_one = tf.concat([x, tf.ones_like(x[:, :1])], axis=1)
    q = with_one.shape[1]
    scaled = tf.reshape(d[:, :, None] * with_one[:, None, :], [-1, j * q])
    return tf.transpose(tf.reshape(tf.matmul(with_one, scaled, transpose_a=True), [q, j, q]), [1, 0, 2])
