"""The programs of a fit, lowered to StableHLO for the shapes of a job: those that `strategy.run` is given.

A pass is `engines/on_devices.py::replica_program`, a minibatch step the function of
`fit/minibatch/loop.py::make_update`. Weights are arguments of a pass; a step holds them in Keras variables.
"""

import importlib.metadata
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_logreg.data.source import Batch
from tf_logreg.engines import on_devices
from tf_logreg.fit.full_batch import requests as passes
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.full_batch.requests import Request
from tf_logreg.fit.minibatch import loop, optimizers
from tf_logreg.model import head as heads
from tf_logreg.model import keras_model
from tf_logreg.objective import linear
from tf_logreg.objective.records import Problems, Rows


def requests(num_rows: int, num_features: int, num_classes: int, num_problems: int = 1) -> list[Request]:
    """The passes of a full-batch fit of these sizes, as `fit/full_batch/penalized.py` asks for them."""
    penalty = np.ones((num_problems, num_features))
    problems = Penalized(
        None,
        (num_features, outputs_of(num_classes)),
        True,
        np.full(num_problems, -1),
        np.ones((num_problems, num_classes)),
        0 * penalty,
        penalty,
        num_rows,
    )
    return passes.requests(problems)


def outputs_of(num_classes: int) -> int:
    """m: a sigmoid's one for two classes, else C."""
    return 1 if num_classes == 2 else num_classes


def lower(function: Callable, arguments: tuple, stage: str = "stablehlo") -> str:
    """The StableHLO, or the HLO, of a function for arguments of given shapes.

    Args:
        function: takes `arguments` and returns tensors.
        arguments: a structure of `tf.TensorSpec`, all shapes static.
        stage: 'stablehlo', or 'hlo' for the module as it comes from TensorFlow.

    Raises:
        ValueError: an operation that XLA does not have, or a shape that is not static.
    """

    def flat(*values):
        return function(*tf.nest.pack_sequence_as(arguments, values))

    compiled = tf.function(flat, jit_compile=True, autograph=False)
    ir = compiled.experimental_get_compiler_ir(*tf.nest.flatten(arguments))
    # tensorflow-tpu lowers by the TPU's own kernels and has none for the CPU; tensorflow-cpu the reverse.
    return ir(stage=stage, platform_name="TPU") if has_tpu_kernels() else ir(stage=stage)


def has_tpu_kernels() -> bool:
    """Whether this TensorFlow is the one for TPUs."""
    try:
        return bool(importlib.metadata.version("tensorflow-tpu"))
    except importlib.metadata.PackageNotFoundError:
        return False


def pass_over_rows(
    request: Request,
    num_rows: int,
    num_features: int,
    num_classes: int,
    *,
    dtype: str = "float32",
    num_problems: int = 1,
    stage: str = "stablehlo",
) -> str:
    """The StableHLO of a pass over one chip's rows.

    Args:
        request: from `requests`.
        num_rows: on the chip. num_features: p. num_classes: C.
        dtype: of X on the chip, float32 or bfloat16.
        num_problems: K problems that share the pass.
        stage: as in `lower`.
    """
    rows = Rows(*row_specs(num_rows, num_features, dtype), tf.TensorSpec([num_rows], tf.int32))
    w = tf.TensorSpec([num_problems, num_features + 1, outputs_of(num_classes)])
    which = tf.TensorSpec([num_problems], tf.int32)
    problems = Problems(which, tf.TensorSpec([num_problems, num_classes]), which, which)
    replica = on_devices.replica_program(request.name, request.width, request.every, True)
    return lower(replica, (rows, (w,) * request.weights, problems), stage)


def step_gradient(num_rows: int, num_features: int, num_classes: int, *, dtype: str = "float32") -> str:
    """The StableHLO of a minibatch step's loss and gradient, over one chip's rows of a batch."""
    outputs = outputs_of(num_classes)

    def gradient(kernel, bias, batch):
        with linear.tracing_for_tpu():
            return loop.loss_and_gradient(kernel, bias, batch)

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
    head = heads.resolve("auto", num_classes)
    model = keras_model.build(num_features, head, bias=True, dtype="float32")
    made = optimizers.make(optimizer, 0.01, optimizer_args or {}, l1)
    loop.build_optimizer(tf.distribute.get_strategy(), made, model)
    update = loop.make_update(model, made, l1=l1, l2=l2, clip_norm=clip_norm)

    def on_tpu(batch):
        # Keras names its operations after the optimiser; ours with l1 begin with '_', which only a name
        # inside another may.
        with linear.tracing_for_tpu(), tf.name_scope("step"):
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
