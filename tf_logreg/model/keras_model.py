"""The Keras model that everything hangs on: Input, Dense `logits`, Activation `probabilities`.

Whatever fits it ends with its weights set in raw units; evaluation, saving and export read only it.
With C classes the sigmoid has one output, the logit of class 1; the softmax has C. One-vs-rest has C
sigmoids, whose probabilities are divided by their sum (as scikit-learn's OneVsRestClassifier does): that
is the softmax of the log sigmoids, which is finite where all of them underflow.
"""

import keras
import numpy as np

_LOG_SIGMOIDS = "log_sigmoids"


def resolve_output(output: str, num_classes: int) -> str:
    """'auto' -> 'sigmoid' for two classes, 'softmax' for more; anything else is kept."""
    if output == "auto":
        return "sigmoid" if num_classes == 2 else "softmax"
    return output


def build(num_features: int, num_classes: int, *, output: str, bias: bool, dtype: str) -> keras.Sequential:
    """Builds the model with all weights zero.

    Args:
        num_features: p.
        num_classes: C.
        output: 'sigmoid' (C = 2, kernel [p, 1]), 'softmax' or 'one_vs_rest' (kernel [p, C]).
        bias: whether there is a bias, [1] or [C].
        dtype: of the weights, 'float32' or 'float64'.

    Raises:
        ValueError: a sigmoid with other than two classes.
    """
    if output == "sigmoid" and num_classes != 2:
        raise ValueError(f"output: a sigmoid takes two classes. Received: {num_classes} classes.")
    units = 1 if output == "sigmoid" else num_classes
    layers = [
        keras.Input((num_features,), dtype=dtype, name="features"),
        # The loss is convex, so zero is as good a start as any, and it is the same everywhere.
        keras.layers.Dense(units, use_bias=bias, kernel_initializer="zeros", dtype=dtype, name="logits"),
    ]
    if output == "one_vs_rest":
        layers.append(keras.layers.Activation("log_sigmoid", dtype=dtype, name=_LOG_SIGMOIDS))
        output = "softmax"
    layers.append(keras.layers.Activation(output, dtype=dtype, name="probabilities"))
    return keras.Sequential(layers, name="logistic_regression")


def is_one_vs_rest(model: keras.Model) -> bool:
    """Whether the logits are those of one sigmoid a class."""
    return any(layer.name == _LOG_SIGMOIDS for layer in model.layers)


def get_weights(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [p, m] and bias [m] (zeros for a model without one) in the model's dtype."""
    kernel, *bias = model.get_layer("logits").get_weights()
    return kernel, bias[0] if bias else np.zeros(kernel.shape[1], kernel.dtype)


def set_weights(model: keras.Model, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Sets kernel [p, m] and, where the model has one, bias [m]; casts to the model's dtype."""
    layer = model.get_layer("logits")
    layer.set_weights([kernel, bias] if layer.use_bias else [kernel])
