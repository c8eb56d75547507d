"""Learning rates over the steps of a run: constant, cosine or exponential, each after a warm-up."""

import math

import keras
import tensorflow as tf

NAMES = ("constant", "cosine", "exponential")


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly for `warmup_steps` and then decays for `decay_steps`.

    With the completed share u of the decay, in [0, 1], and f = `final_fraction`, cosine is
    peak * (f + (1 - f) * (1 + cos(pi u)) / 2) and exponential is peak * f^u.
    After the decay the rate is constant.
    """

    def __init__(
        self, name: str, *, peak: float, warmup_steps: int, decay_steps: int, final_fraction: float
    ) -> None:
        self.name, self.peak = name, peak
        self.warmup_steps, self.decay_steps, self.final_fraction = warmup_steps, decay_steps, final_fraction

    def __call__(self, step):
        """The rate of the update after `step` updates; a float32 scalar."""
        step = tf.cast(step, tf.float32)
        # The first step of a warm-up of n has 1 / n of the peak, so that no step has rate 0.
        warmup = tf.minimum((step + 1) / max(self.warmup_steps, 1), 1.0)
        done = tf.clip_by_value((step - self.warmup_steps) / max(self.decay_steps, 1), 0.0, 1.0)
        if self.name == "cosine":
            decay = self.final_fraction + (1 - self.final_fraction) * (1 + tf.cos(math.pi * done)) / 2
        elif self.name == "exponential":
            decay = tf.pow(self.final_fraction, done)
        else:
            decay = 1.0
        return self.peak * warmup * decay

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras."""
        return dict(vars(self))
