"""The step loop of minibatch training, the same under every strategy.

The loss and its gradient are a pure function of (weights, batch). Each replica returns sums over its
rows, numerator and weight sum separately. They are added over replicas and only then divided, which is
right for any number of rows per replica. Python regains control every `steps_per_loop` steps.
"""

import dataclasses
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_logreg.data.source import Batch
from tf_logreg.devices import placement
from tf_logreg.fit.minibatch import feed
from tf_logreg.fit.minibatch.early_stopping import EarlyStopping
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status, Trained
from tf_logreg.model import keras_model
from tf_logreg.objective import linear, losses

_SECONDS_WORTH_SAVING = 1.0


@dataclasses.dataclass(frozen=True)
class Length:
    """Length of a fit.

    Attributes:
        steps: number of updates in total.
        steps_per_epoch: number of updates that read the training rows once.
        steps_per_loop: Python regains control at multiples of this number of updates.
    """

    steps: int
    steps_per_epoch: int
    steps_per_loop: int

    def next_look(self, step: int, *, each_epoch: bool) -> int:
        """The step at which Python next regains control; it depends on `step` alone, so runs resume alike."""
        ends = [self.steps, (step // self.steps_per_loop + 1) * self.steps_per_loop]
        if each_epoch:
            ends.append((step // self.steps_per_epoch + 1) * self.steps_per_epoch)
        return min(ends)


def loss_and_gradient(
    kernel: tf.Tensor, bias: tf.Tensor, batch: Batch, class_weight: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Sums over one replica's rows, without penalty and not divided by the weight sum.

    Args:
        kernel: [p, m]. bias: [m]. batch: B rows, padding with weight 0.
        class_weight: [C], factors of the row weights by class; None for ones.

    Returns:
        sum_i s_i, sum_i s_i loss_i (nats), and the latter's gradient by kernel [p, m] and bias [m].
    """
    weight = tf.cast(batch.weight, kernel.dtype)
    if class_weight is not None:
        weight *= tf.gather(tf.cast(class_weight, kernel.dtype), batch.y)
    with tf.GradientTape() as tape:
        tape.watch((kernel, bias))
        logits = linear.logits(batch.x, kernel, bias) + tf.cast(batch.offset, kernel.dtype)
        loss_sum = tf.reduce_sum(weight * losses.log_loss(logits, batch.y))
    return tf.reduce_sum(weight), loss_sum, *tape.gradient(loss_sum, (kernel, bias))


def make_update(
    model: keras.Sequential,
    optimizer: keras.optimizers.Optimizer,
    *,
    l1: float,
    l2: float,
    clip_norm: float,
    class_weight: np.ndarray | None = None,
) -> Callable[[list[Batch]], tf.Tensor]:
    """One replica's step: sums, their reduction over replicas, penalty, clipping, the optimiser.

    Args:
        model: built within the strategy's scope.
        optimizer: made within the scope; it applies l1 itself.
        l1, l2: penalties as in F; the bias has none.
        clip_norm: largest norm of the whole gradient, including the penalty; 0 for no limit.
        class_weight: [C], or None.

    Returns:
        A function of the replica's batch, in parts, that updates the model and returns the objective of the
        global batch before the update, in nats.
    """
    layer = model.get_layer("logits")
    variables = [layer.kernel] + ([layer.bias] if layer.use_bias else [])
    no_bias = np.zeros(layer.units, layer.kernel.dtype)

    def update(batch: list[Batch]) -> tf.Tensor:
        kernel = tf.convert_to_tensor(layer.kernel.value)
        bias = tf.convert_to_tensor(layer.bias.value if layer.use_bias else no_bias)
        context = tf.distribute.get_replica_context()
        with linear.tracing_for_tpu(placement.on_tpu(context.strategy)):
            parts = [loss_and_gradient(kernel, bias, part, class_weight) for part in batch]
        sums = [tf.add_n(terms) for terms in zip(*parts, strict=True)]
        weight_sum, loss_sum, *gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        # A batch whose rows all have weight 0 has a data term of 0, not NaN.
        gradients = [tf.math.divide_no_nan(gradient, weight_sum) for gradient in gradients][: len(variables)]
        gradients[0] += l2 * kernel
        if clip_norm > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        # Keras adds gradients over replicas again, so each gets its share of the sum.
        optimizer.apply([gradient / context.num_replicas_in_sync for gradient in gradients], variables)
        penalty = l2 / 2 * tf.reduce_sum(tf.square(kernel)) + l1 * tf.reduce_sum(tf.abs(kernel))
        return tf.math.divide_no_nan(loss_sum, weight_sum) + penalty

    return update


def build_optimizer(
    strategy: tf.distribute.Strategy, optimizer: keras.optimizers.Optimizer, model: keras.Sequential
):
    """Builds the optimiser for the model's variables, kernel first; weight decay excludes the bias."""
    layer = model.get_layer("logits")
    if optimizer.weight_decay and layer.use_bias:
        optimizer.exclude_from_weight_decay(var_list=[layer.bias])
    with strategy.scope():
        optimizer.build([layer.kernel] + ([layer.bias] if layer.use_bias else []))


def fit(
    model: keras.Sequential,
    optimizer: keras.optimizers.Optimizer,
    run: feed.Run,
    *,
    length: Length,
    report: Callable[[int, float, float], None],
    monitor: Monitor,
    early_stopping: EarlyStopping | None = None,
) -> Trained:
    """Trains `model` in place, from the newest checkpoint if there is one.

    Args:
        model: built within the strategy's scope.
        optimizer: built for it.
        run: takes steps, from `feed.placed_or_streamed`.
        length: number of steps, in total and per loop.
        report: called after each loop with (step, mean objective of the loop's batches in nats,
            global steps per second).
        monitor: saves and restores the state; after each loop it may interrupt the fit.
        early_stopping: checked after each epoch.

    Returns:
        The result; `diverged` as soon as a loop's objective or weights are not finite.

    Raises:
        InputError: a checkpoint does not match, or cannot be written.
    """
    layer = model.get_layer("logits")
    step, history, checkpoints = 0, [], monitor.checkpoints
    if (found := checkpoints.latest()) is not None:
        step, arrays = found
        history = [(int(at), float(value)) for at, value in arrays.pop("history")]
        _restore(layer, optimizer, early_stopping, arrays)
    saved, saved_at = step, time.monotonic()
    stopped = bool(early_stopping) and early_stopping.waited > early_stopping.patience
    while step < length.steps and not stopped:
        count, start = (
            length.next_look(step, each_epoch=early_stopping is not None) - step,
            time.perf_counter(),
        )
        objective = run(step, count)
        step += count
        history.append((step, objective))
        report(step, objective, count / (time.perf_counter() - start))
        # The objective is from before the last update, so the weights are checked too.
        if not np.isfinite(objective) or not all(np.isfinite(array).all() for array in layer.get_weights()):
            return Trained(Status.DIVERGED, step, step / length.steps_per_epoch, None, None, history)
        if early_stopping and step % length.steps_per_epoch == 0:
            stopped = early_stopping.should_stop(layer.get_weights())
        stop_now, ended = monitor.interrupted(), stopped or step >= length.steps
        # The final state is saved too after a long fit, as the run may be killed later.
        due = step - saved >= checkpoints.every_steps or (
            ended and time.monotonic() - saved_at > _SECONDS_WORTH_SAVING
        )
        if stop_now or (checkpoints.every_steps and due):
            checkpoints.save(step, _state(layer, optimizer, early_stopping, history))
            saved, saved_at = step, time.monotonic()
        if stop_now:
            return Trained(Status.INTERRUPTED, step, step / length.steps_per_epoch, None, None, history)
    if early_stopping and early_stopping.restore_best and early_stopping.best_weights:
        layer.set_weights(early_stopping.best_weights)
    status = Status.STOPPED_EARLY if stopped else Status.FINISHED
    kernel, bias = keras_model.get_weights(model)
    return Trained(status, step, step / length.steps_per_epoch, kernel, bias, history)


def _state(layer, optimizer, early_stopping: EarlyStopping | None, history: list) -> dict[str, np.ndarray]:
    """Arrays of a checkpoint: everything on which the next step depends."""
    arrays = {"history": np.array(history, np.float64).reshape(-1, 2)}
    arrays |= {f"weights/{i}": array for i, array in enumerate(layer.get_weights())}
    arrays |= {f"optimizer/{i}": variable.numpy() for i, variable in enumerate(optimizer.variables)}
    if early_stopping:
        arrays |= {f"early_stopping/{name}": value for name, value in early_stopping.state().items()}
    return arrays


def _restore(layer, optimizer, early_stopping: EarlyStopping | None, arrays: dict[str, np.ndarray]) -> None:
    """Restores the state from the arrays of `_state`."""
    layer.set_weights([arrays[f"weights/{i}"] for i in range(len(layer.get_weights()))])
    for i, variable in enumerate(optimizer.variables):
        variable.assign(arrays[f"optimizer/{i}"])
    if early_stopping:
        prefix = "early_stopping/"
        early_stopping.restore({k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)})
