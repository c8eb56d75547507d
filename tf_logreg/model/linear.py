"""Products with X."""

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
