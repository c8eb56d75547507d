"""Minibatch training in a loop of our own, the same under every strategy.

The loss and its gradient are a pure function of (weights, batch). Each replica returns sums over its
rows, numerator and weights apart; they are added over replicas and only then divided, which is right
for shares of any size. Python sees the loop once every `steps_per_loop` steps.
"""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_logreg.data.source import Batch
from tf_logreg.fit.result import FitResult, Status
from tf_logreg.model import linear, losses


def loss_and_gradient(
    kernel: tf.Tensor, bias: tf.Tensor, batch: Batch
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Sums over one replica's rows, unpenalised and undivided.

    Args:
        kernel: [p, m]. bias: [m]. batch: B rows, padding with weight 0.

    Returns:
        sum_i s_i, sum_i s_i loss_i (nats), and the latter's gradient by kernel [p, m] and bias [m].
    """
    weight = tf.cast(batch.weight, kernel.dtype)
    with tf.GradientTape() as tape:
        tape.watch((kernel, bias))
        loss_sum = tf.reduce_sum(weight * losses.log_loss(linear.logits(batch.x, kernel, bias), batch.y))
    return tf.reduce_sum(weight), loss_sum, *tape.gradient(loss_sum, (kernel, bias))


def fit(
    model: keras.Sequential,
    batches,
    *,
    strategy: tf.distribute.Strategy,
    optimizer: keras.optimizers.Optimizer,
    l1: float,
    l2: float,
    clip_norm: float,
    steps: int,
    steps_per_epoch: int,
    steps_per_loop: int,
    report: Callable[[int, float, float], None],
) -> FitResult:
    """Trains `model` in place.

    Args:
        model: built within the strategy's scope.
        batches: a distributed dataset of `Batch`es, at least `steps` global batches of them.
        strategy: where the replicas are.
        optimizer: made within the scope; takes care of l1.
        l1, l2: penalties as in F; the bias has none.
        clip_norm: greatest norm of the whole gradient, penalty included; 0 for no limit.
        steps: updates in all.
        steps_per_epoch: updates that read the training rows once.
        steps_per_loop: updates between two looks from Python.
        report: called after each loop with (step, mean objective of the loop's batches in nats,
            global steps a second).

    Returns:
        The result; `diverged` as soon as a loop's objective is not finite.
    """
    layer = model.get_layer("logits")
    variables = [layer.kernel] + ([layer.bias] if layer.use_bias else [])
    if optimizer.weight_decay and layer.use_bias:
        optimizer.exclude_from_weight_decay(var_list=[layer.bias])
    with strategy.scope():
        optimizer.build(variables)
    no_bias = tf.zeros(layer.units, layer.kernel.dtype)

    def update(batch: Batch) -> tf.Tensor:
        kernel = tf.convert_to_tensor(layer.kernel.value)
        bias = tf.convert_to_tensor(layer.bias.value) if layer.use_bias else no_bias
        context = tf.distribute.get_replica_context()
        weight_sum, loss_sum, *gradients = context.all_reduce(
            tf.distribute.ReduceOp.SUM, loss_and_gradient(kernel, bias, batch)
        )
        # A batch whose rows all have weight 0 has no data term, not NaN.
        gradients = [tf.math.divide_no_nan(gradient, weight_sum) for gradient in gradients]
        gradients[0] += l2 * kernel
        if clip_norm > 0:
            gradients, _ = tf.clip_by_global_norm(gradients[: len(variables)], clip_norm)
        # Keras adds gradients over replicas once more: hand each its part of the sum.
        parts = [gradient / context.num_replicas_in_sync for gradient in gradients]
        optimizer.apply(parts[: len(variables)], variables)
        penalty = l2 / 2 * tf.reduce_sum(tf.square(kernel)) + l1 * tf.reduce_sum(tf.abs(kernel))
        return tf.math.divide_no_nan(loss_sum, weight_sum) + penalty

    @tf.function
    def run_steps(iterator, count):
        total = tf.zeros([], layer.kernel.dtype)
        for _ in tf.range(count):
            objective = strategy.run(update, args=(next(iterator),))
            total += strategy.experimental_local_results(objective)[0]
        return total / tf.cast(count, total.dtype)

    iterator, history, step = iter(batches), [], 0
    while step < steps:
        count, start = min(steps_per_loop, steps - step), time.perf_counter()
        objective = float(run_steps(iterator, tf.constant(count)))
        step += count
        history.append((step, objective))
        report(step, objective, count / (time.perf_counter() - start))
        # The objective is that of before the last update, so the weights are looked at too.
        if not np.isfinite([objective, *(np.sum(weights) for weights in layer.get_weights())]).all():
            return FitResult(Status.DIVERGED, step, step / steps_per_epoch, history)
    return FitResult(Status.FINISHED, step, step / steps_per_epoch, history)
