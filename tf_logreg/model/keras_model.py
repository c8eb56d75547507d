"""The Keras model: Input, Dense `logits`, Activation `probabilities`.

It is saved as `model.keras`, and minibatch training trains it. A sigmoid gives one column, that of
class 1. One-vs-rest is the softmax of the log sigmoids (`model/head.py`).
"""

from typing import Any

import keras
import numpy as np

from tf_logreg.model.head import Head


def build(num_features: int, head: Head, *, bias: bool, dtype: str) -> keras.Sequential:
    """Builds the model with all weights zero.

    Args:
        num_features: p.
        head: sets m; the kernel is [p, m], the bias [m].
        bias: whether the model has a bias.
        dtype: of the weights, 'float32' or 'float64'.
    """
    layers = [
        keras.Input((num_features,), dtype=dtype, name="features"),
        # The loss is convex, so zero is as good a start as any, and equal on all replicas.
        keras.layers.Dense(
            head.outputs, use_bias=bias, kernel_initializer="zeros", dtype=dtype, name="logits"
        ),
    ]
    activation = head.kind
    if head.is_one_vs_rest:
        layers.append(keras.layers.Activation("log_sigmoid", dtype=dtype, name="log_sigmoids"))
        activation = "softmax"
    layers.append(keras.layers.Activation(activation, dtype=dtype, name="probabilities"))
    return keras.Sequential(layers, name="logistic_regression")


def of(model: Any) -> keras.Sequential:
    """The Keras model of a `Model`, in its dtype."""
    made = build(len(model.kernel), model.head, bias=model.has_bias, dtype=model.dtype)
    set_weights(made, model.kernel, model.bias)
    return made


def get_weights(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [p, m] and bias [m] (zeros for a model without one) in the model's dtype."""
    kernel, *bias = model.get_layer("logits").get_weights()
    return kernel, bias[0] if bias else np.zeros(kernel.shape[1], kernel.dtype)


def set_weights(model: keras.Model, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Sets kernel [p, m] and, where the model has one, bias [m]; casts to the model's dtype."""
    layer = model.get_layer("logits")
    layer.set_weights([kernel, bias] if layer.use_bias else [kernel])
