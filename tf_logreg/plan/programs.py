"""The programs of a fit, lowered to StableHLO for the shapes of a job: those that `strategy.run` is given.

A pass is `fit/passes.py::replica_program`, a minibatch step the function of `fit/minibatch.py::make_update`.
Weights are arguments of a pass; a step holds them in Keras variables.
"""

import importlib.metadata
from collections.abc import Callable

import tensorflow as tf

from tf_logreg.data.source import Batch
from tf_logreg.fit import minibatch, optimizers, passes
from tf_logreg.model import dense, linear, objective
from tf_logreg.model.objective import Problems, Rows

# Each program of a full-batch fit: how many weight arrays it takes, and numbers it makes a row for each
# problem and output (as `fit/penalized.py` says to a pass).
PASSES = {
    "value_and_gradient": (objective.value_and_gradient, 1, 4),
    "hessian_product": (objective.hessian_product, 2, 6),
    "mean_gram": (objective.mean_gram, 1, None),
    "hessian": (objective.hessian, 1, None),
}


def lower(function: Callable, arguments: tuple) -> str:
    """The StableHLO of a function for arguments of given shapes.

    Args:
        function: takes `arguments` and returns tensors.
        arguments: a structure of `tf.TensorSpec`, all shapes static.

    Raises:
        ValueError: an operation that XLA does not have, or a shape that is not static.
    """

    def flat(*values):
        return function(*tf.nest.pack_sequence_as(arguments, values))

    compiled = tf.function(flat, jit_compile=True, autograph=False)
    ir = compiled.experimental_get_compiler_ir(*tf.nest.flatten(arguments))
    # tensorflow-tpu lowers by the TPU's own kernels and has none for the CPU; tensorflow-cpu the reverse.
    return ir(stage="stablehlo", platform_name="TPU") if has_tpu_kernels() else ir(stage="stablehlo")


def has_tpu_kernels() -> bool:
    """Whether this TensorFlow is the one for TPUs."""
    try:
        return bool(importlib.metadata.version("tensorflow-tpu"))
    except importlib.metadata.PackageNotFoundError:
        return False


def pass_over_rows(
    name: str,
    num_rows: int,
    num_features: int,
    num_classes: int,
    *,
    dtype: str = "float32",
    num_problems: int = 1,
    every: int = 1,
) -> str:
    """The StableHLO of a pass over one chip's rows.

    Args:
        name: one of PASSES.
        num_rows: on the chip. num_features: p. num_classes: C; two have one output.
        dtype: of X on the chip, float32 or bfloat16.
        num_problems: K problems that share the pass.
        every: take one block of so many.
    """
    program, weights, width = PASSES[name]
    outputs = 1 if num_classes == 2 else num_classes
    if name == "hessian":
        width = 2 * outputs**2 * (num_features + 1)
    elif name == "mean_gram":
        width = 2 * (num_features + 1)
    else:
        width *= outputs
    rows = Rows(*row_specs(num_rows, num_features, dtype), tf.TensorSpec([num_rows], tf.int32))
    w = tf.TensorSpec([num_problems, num_features + 1, outputs])
    problems = Problems(
        tf.TensorSpec([num_problems], tf.int32), tf.TensorSpec([num_problems, num_classes])
    )
    replica = passes.replica_program(program, width * num_problems, every, True)
    return lower(replica, (rows, (w,) * weights, problems))


def step_gradient(num_rows: int, num_features: int, num_classes: int, *, dtype: str = "float32") -> str:
    """The StableHLO of a minibatch step's loss and gradient, over one chip's rows of a batch."""
    outputs = 1 if num_classes == 2 else num_classes

    def gradient(kernel, bias, batch):
        with linear.tracing_for_tpu():
            return minibatch.loss_and_gradient(kernel, bias, batch)

    kernel, bias = tf.TensorSpec([num_features, outputs]), tf.TensorSpec([outputs])
    return lower(gradient, (kernel, bias, _batch(num_rows, num_features, dtype)))


def step(
    num_rows: int,
    num_features: int,
    num_classes: int,
    *,
    dtype: str = "float32",
    optimizer: str = "Adam",
    optimizer_args: dict | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    clip_norm: float = 0.0,
) -> str:
    """The StableHLO of a whole minibatch step, the Keras optimiser's update included.

    Needs a TensorFlow that lowers for the CPU: the TPU's own route takes no variables.
    """
    output = dense.resolve_output("auto", num_classes)
    model = dense.build(num_features, num_classes, output=output, bias=True, dtype="float32")
    made = optimizers.make(optimizer, 0.01, optimizer_args or {}, l1)
    minibatch.build_optimizer(tf.distribute.get_strategy(), made, model)
    update = minibatch.make_update(model, made, l1=l1, l2=l2, clip_norm=clip_norm)

    def on_tpu(batch):
        with linear.tracing_for_tpu():
            return update([batch])

    return lower(on_tpu, (_batch(num_rows, num_features, dtype),))


def row_specs(num_rows: int, num_features: int, dtype: str) -> tuple[tf.TensorSpec, ...]:
    """x, y, weight and offset of rows without offsets of their own."""
    return (
        tf.TensorSpec([num_rows, num_features], tf.as_dtype(dtype)),
        tf.TensorSpec([num_rows], tf.int32),
        tf.TensorSpec([num_rows], tf.float32),
        tf.TensorSpec([num_rows, 1], tf.float32),
    )


def _batch(num_rows: int, num_features: int, dtype: str) -> Batch:
    return Batch(*row_specs(num_rows, num_features, dtype), tf.TensorSpec([num_rows], tf.int32))
