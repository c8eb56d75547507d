"""Keras optimisers that minimise F + l1 * ||W||_1 and reach exact zeros.

After the optimiser's own step, a coefficient moves towards zero by l1 times the step size that the
optimiser used for it, and stops at zero (soft thresholding). The step size must be that of each
coefficient: with the plain learning rate, Adam and RMSprop converge to a point that is not the
optimum (Duchi, Hazan and Singer, JMLR 12, 2011, sec. 2, for Adagrad; the fixed-point condition is
the same for the others: w = soft(w - s * g, s * l1) holds exactly where g is in -l1 * d|w|).
The bias is never penalised.
"""

import keras
import tensorflow as tf


def known() -> list[str]:
    """Names of the optimisers that support l1 > 0."""
    return sorted(_PROXIMAL)


def make(name: str, l1: float, **kwargs) -> keras.optimizers.Optimizer:
    """A Keras optimiser of this class name whose first variable, the kernel, has an l1 penalty.

    Args:
        name: one of `known()`.
        l1: the penalty, >= 0.
        **kwargs: arguments of the Keras optimiser.
    """
    optimizer = _PROXIMAL[name](**kwargs)
    optimizer.l1 = l1
    return optimizer


def soft_threshold(values: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Moves values towards zero by `threshold` (>= 0, broadcast) and stops at zero.

    That is argmin over u of (u - values)^2 / 2 + threshold * |u|.
    """
    return tf.sign(values) * tf.maximum(tf.abs(values) - threshold, 0)


class _Proximal:
    """Adds the soft threshold to the update of the kernel (variable 0) of a Keras optimiser."""

    l1 = 0.0

    def update_step(self, gradient, variable, learning_rate):
        """Keras calls this once per variable, with the reduced gradient, on each replica's device."""
        super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        if index == 0:
            size = self.step_size(index, tf.cast(learning_rate, variable.dtype))
            self.assign(variable, soft_threshold(tf.convert_to_tensor(variable), self.l1 * size))

    def step_size(self, index: int, learning_rate: tf.Tensor) -> tf.Tensor:
        """The update per step from a constant gradient of one, in the limit; [p, m] or a scalar."""
        raise NotImplementedError


class _SGD(_Proximal, keras.optimizers.SGD):
    def step_size(self, index, learning_rate):
        # The velocity of a constant gradient g tends to learning_rate * g / (1 - momentum), also with
        # Nesterov momentum.
        return learning_rate / (1 - self.momentum)


class _Adagrad(_Proximal, keras.optimizers.Adagrad):
    def step_size(self, index, learning_rate):
        return learning_rate / tf.sqrt(self._accumulators[index].value + self.epsilon)


class _RMSprop(_Proximal, keras.optimizers.RMSprop):
    def step_size(self, index, learning_rate):
        square = self._velocities[index].value
        if self.centered:
            square = square - tf.square(self._average_gradients[index].value)
        return learning_rate / tf.sqrt(square + self.epsilon) / (1 - self.momentum)


class _Adam(_Proximal, keras.optimizers.Adam):
    def step_size(self, index, learning_rate):
        # Adam's first moment over 1 - beta_1^t estimates the gradient; its factor is the step size.
        step = tf.cast(self.iterations + 1, learning_rate.dtype)
        square = (self._velocity_hats if self.amsgrad else self._velocities)[index].value
        unbias = tf.sqrt(1 - tf.pow(tf.cast(self.beta_2, learning_rate.dtype), step))
        return learning_rate * unbias / (tf.sqrt(square) + self.epsilon)


class _Ftrl(keras.optimizers.Ftrl):
    """Ftrl with its own l1 rule.

    Its state is the sum of all gradients so far, so the penalty must be summed over the steps as
    well: t * l1 at step t (McMahan, AISTATS 2011, eq. 3). Keras adds l1 only once, which becomes negligible.
    """

    l1 = 0.0

    def update_step(self, gradient, variable, learning_rate):
        if self._get_variable_index(variable) == 0:
            self.l1_regularization_strength = self.l1 * tf.cast(self.iterations + 1, variable.dtype)
        try:
            super().update_step(gradient, variable, learning_rate)
        finally:
            self.l1_regularization_strength = 0.0


_PROXIMAL = {
    "Adagrad": _Adagrad,
    "Adam": _Adam,
    "Ftrl": _Ftrl,
    "RMSprop": _RMSprop,
    "SGD": _SGD,
}
