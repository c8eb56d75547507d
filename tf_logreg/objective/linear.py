"""Products with X, for one model and for K models that share each read of X.

K models have their weights in one array w [K, q, m]: q = p + 1, the last row being the bias, and m
outputs. Nothing here knows what the products are for.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.compiler.xla import xla_data_pb2

_FOR_TPU = contextvars.ContextVar("for_tpu", default=False)


@contextlib.contextmanager
def tracing_for_tpu(tpu: bool = True) -> Iterator[None]:
    """What is traced inside is compiled for a TPU, if `tpu` or an outer one says so."""
    token = _FOR_TPU.set(tpu or _FOR_TPU.get())
    try:
        yield
    finally:
        _FOR_TPU.reset(token)


def is_for_tpu() -> bool:
    """Whether a TPU is what is traced for."""
    return _FOR_TPU.get()


def matmul(a: tf.Tensor, b: tf.Tensor, transpose_a: bool = False) -> tf.Tensor:
    """A B, or A^T B, of two matrices of one dtype, as exact as that dtype.

    A TPU multiplies float32 in bfloat16 unless it is asked not to; only XLA's own product takes the
    question, and only a function that XLA compiles may hold it. Everywhere else it is `tf.matmul`.
    """
    if not is_for_tpu():
        return tf.matmul(a, b, transpose_a=transpose_a)
    return _exact_product(a, b, transpose_a)


def _exact_product(a: tf.Tensor, b: tf.Tensor, transpose_a: bool) -> tf.Tensor:
    @tf.custom_gradient  # XLA's product has none of its own
    def product(a, b):
        def gradient(upstream):
            of_a = _dot(b, upstream, 1, 1) if transpose_a else _dot(upstream, b, 1, 1)
            return of_a, _dot(a, upstream, 1 if transpose_a else 0, 0)

        return _dot(a, b, 0 if transpose_a else 1, 0), gradient

    return product(a, b)


def _dot(a: tf.Tensor, b: tf.Tensor, a_axis: int, b_axis: int) -> tf.Tensor:
    """The sum over axis `a_axis` of a and `b_axis` of b, at XLA's highest precision."""
    highest = xla_data_pb2.PrecisionConfig.HIGHEST
    return xla.dot_general(
        a,
        b,
        xla_data_pb2.DotDimensionNumbers(
            lhs_contracting_dimensions=[a_axis], rhs_contracting_dimensions=[b_axis]
        ),
        precision_config=xla_data_pb2.PrecisionConfig(operand_precision=[highest, highest]),
    )


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
    return matmul(tf.cast(x, kernel.dtype), kernel) + bias


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
    # R^T X, not X^T R: with few outputs what is transposed is the smaller. With ten, a sixth less time.
    kernel = matmul(flat, tf.cast(x, r.dtype), transpose_a=True)
    both = tf.concat([kernel, tf.reduce_sum(flat, axis=0)[:, None]], axis=1)
    return tf.transpose(tf.reshape(both, [k, m, x.shape[1] + 1]), [0, 2, 1])


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
