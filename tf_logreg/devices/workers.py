"""Communication between worker processes outside the step loops; trivial with one worker.

Decisions that must be the same on all workers (an error in the data, a signal, whether there is a
checkpoint) are made here, so that no worker leaves a loop alone. Methods that communicate are collective:
every worker calls them in the same order.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_logreg.devices import cluster, message
from tf_logreg.errors import InputError, RunError, brief

if TYPE_CHECKING:
    import tensorflow as tf

_SMALLEST = 64  # numbers in a message; larger ones are rounded up to a power of two, to trace few shapes


@dataclasses.dataclass(frozen=True)
class Workers:
    """The worker processes of a strategy.

    Attributes:
        cluster: the workers' addresses and this process's index; None without a cluster.
        strategy: the strategy whose replicas run in the workers; None for one process without TensorFlow.
    """

    cluster: cluster.Cluster | None
    strategy: tf.distribute.Strategy | None

    @property
    def count(self) -> int:
        """Number of worker processes, 1 without a cluster."""
        return len(self.cluster.addresses) if self.cluster else 1

    @property
    def index(self) -> int:
        """This process's index among the workers, 0 without a cluster."""
        return self.cluster.index if self.cluster else 0

    @property
    def is_chief(self) -> bool:
        """Whether this is the first worker, which alone writes to the work directory."""
        return self.index == 0

    @property
    def replicas(self) -> range:
        """Ids of this process's replicas among those of all workers."""
        local = 1 if self.strategy is None else self.strategy.num_replicas_in_sync // self.count
        return range(self.index * local, (self.index + 1) * local)

    def gather(self, array: np.ndarray) -> np.ndarray:
        """[count, *shape] float64: each worker's array; the shape is the same on all."""
        return self._stacked(np.asarray(array, np.float64))

    def _stacked(self, array: np.ndarray) -> np.ndarray:
        """[count, *shape]: each worker's float64 or int64 array, gathered as a sum of zero-padded arrays."""
        if self.count == 1:
            return array[None]
        size = self.count * array.size
        parts = np.zeros(max(_SMALLEST, 1 << (size - 1).bit_length()), array.dtype)
        parts[self.index * array.size : (self.index + 1) * array.size] = array.ravel()
        return _summed(self.strategy, len(self.replicas))(parts).numpy()[:size].reshape(-1, *array.shape)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any worker."""
        return bool(flag) if self.count == 1 else bool(self.gather(np.array(float(flag))).any())

    def from_each(self, value: Any) -> list:
        """Each worker's value.

        Raises:
            TypeError: `message.encode` does not take the value; also with one worker.
        """
        if self.count == 1:
            message.outline(value, [])
            return [value]
        data = message.encode(value)
        sizes = self._stacked(np.array(len(data)))
        words = np.frombuffer(data.ljust(-(-sizes.max() // 8) * 8, b"\0"), np.int64)
        found = self._stacked(words)
        return [message.decode(row.tobytes()[:size]) for row, size in zip(found, sizes, strict=True)]

    def together(self, function: Callable[[], Any]) -> Any:
        """The function's value; an error on one worker is raised on all, with the first such message.

        An InputError is raised on all workers. Any other error is re-raised where it occurred; the other
        workers raise a RunError that names the worker. The function must not communicate.
        """
        if self.count == 1:
            return function()
        value, error, mine = None, None, None
        try:
            value = function()
        except InputError as found:
            error, mine = found, ["input", str(found)]
        except Exception as found:
            error, mine = found, ["run", f"{type(found).__name__}: {brief(found)}"]
        said = self.from_each(mine)
        for k, theirs in enumerate(said):
            if theirs is None:
                continue
            (kind, message), name = theirs, f"worker {k}, {self.cluster.addresses[k]}"
            if kind == "input":
                raise InputError(message + ("" if all(one == theirs for one in said) else f" (on {name})"))
            if k == self.index:
                raise error
            raise RunError(f"Another worker failed ({name}): {message}")
        return value

    def from_chief(self, function: Callable[[], Any]) -> Any:
        """The function's value on the chief, returned on all workers; only the chief calls it."""
        value = self.together(function if self.is_chief else lambda: None)
        return self.from_each(value)[0]

    def same(self, value: Any, what: str) -> None:
        """Raises an InputError on all workers that names those whose value differs from the chief's."""
        found = self.from_each(value)
        others = [
            f"worker {k} ({self.cluster.addresses[k]})" for k, one in enumerate(found) if one != found[0]
        ]
        if others:
            raise InputError(f"{what}: expected the same on every worker. Another on {', '.join(others)}.")

    def seconds_to_reduce(self, size: int) -> float:
        """Seconds of an all-reduce of `size` float32 over all replicas, the median of five."""
        import tensorflow as tf

        def replica(value):
            # zeros_like places the value on the replica's device, which the all-reduce needs.
            return tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.SUM, tf.zeros_like(value)
            )

        run = tf.function(lambda value: self.strategy.run(replica, args=(value,)), autograph=False)
        value, seconds = tf.zeros([size]), []
        for _ in range(6):
            start = time.perf_counter()
            parts = self.strategy.experimental_local_results(run(value))
            parts[0].numpy()
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds[1:]))

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Turns TensorFlow's errors about a lost worker into a RunError that names it."""
        try:
            yield
        except _errors_of_a_lost_peer() as error:
            if self.count == 1:
                raise
            lost = ", ".join(cluster.absent(self.cluster)) or "a worker, though all ports answer"
            raise RunError(
                f"Lost {lost} ({type(error).__name__}: {brief(error)}). "
                "Start the same command on every worker again: it resumes from the newest checkpoint."
            ) from None


def _errors_of_a_lost_peer() -> tuple[type[Exception], ...]:
    """Errors that TensorFlow raises when a peer is lost."""
    import tensorflow as tf

    return (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
        tf.errors.FailedPreconditionError,
        tf.errors.UnknownError,
    )


@functools.lru_cache(maxsize=8)
def of(strategy: tf.distribute.Strategy | None) -> Workers:
    """The workers of a strategy made by `strategies.make_strategy`; without one, this process alone."""
    if strategy is None:
        return Workers(None, None)
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Workers(None, strategy)
    resolver = strategy.cluster_resolver
    addresses = resolver.cluster_spec().as_dict()["worker"]
    return Workers(cluster.Cluster(tuple(addresses), resolver.task_id), strategy)


@functools.lru_cache(maxsize=8)
def _summed(strategy: tf.distribute.Strategy, local: int):
    """[size] float64 or int64 -> the sum over workers."""
    import tensorflow as tf

    def replica(value):
        context = tf.distribute.get_replica_context()
        first = context.replica_id_in_sync_group % local == 0
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, value, tf.zeros_like(value)))

    @tf.function(autograph=False)
    def run(value):
        return strategy.experimental_local_results(strategy.run(replica, args=(value,)))[0]

    return lambda value: run(tf.constant(value))
