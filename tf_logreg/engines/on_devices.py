"""The engine on devices: a pass of `objective/row_sums.py`, by its name, over all rows on every replica.

Rows are resident on the devices, or streamed to them in blocks; the code above does not know which.
Within a replica rows are taken in blocks that stay in a core's cache, so that a program that uses X
twice reads it from memory once, and so that logits never take more room than a block's. Sums of
blocks are added with the rounding error of each addition kept beside them (Ogita, Rump and Oishi,
SIAM J. Sci. Comput. 26, 2005, alg. 4.3): 10^9 rows lose no digits, also where there is no float64.
"""

import functools
import logging
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_logreg.data import pipeline
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.devices import placement
from tf_logreg.devices.devices import Devices
from tf_logreg.engines.engine import Engine
from tf_logreg.engines.rows import held_rows
from tf_logreg.objective import linear, row_sums
from tf_logreg.objective.records import Problems, Rows

log = logging.getLogger(__name__)

_BLOCK_ELEMENTS = 2**21  # floats of X and of a program's intermediates in a block
_TPU_BLOCK_ELEMENTS = 2**23  # a TPU's vector memory holds two such blocks of X beside the rest
_MOST_ROWS, _SAMPLE_ROWS, _FEWEST_ROWS = 2**17, 128, 64


def placed_or_streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over some rows: placed on the devices once when there is room for them, else streamed each time.

    Args:
        devices: where the replicas are; each holds the rows of its own shards.
        source: where rows are read.
        rows: int64 [n], their ids.
        columns: how training columns come from raw ones.
        folds: int32 [n], or None when no problem holds a fold out.
    """
    if devices.has_room(len(rows), len(source.feature_names)):
        return resident(devices, source, rows, columns, folds)
    log.info("The training rows take more than the share of device memory: each pass streams them.")
    return streamed(devices, source, rows, columns, folds)


def resident(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over rows that are placed on the devices once; arguments as of `placed_or_streamed`."""
    strategy = devices.strategy
    folds = np.zeros(len(rows), np.int32) if folds is None else folds
    positions, held = held_rows(devices, source, rows, columns)
    held = [Rows(*arrays, folds[mine]) for mine, arrays in zip(positions, held, strict=True)]
    return over_placed(devices, placement.place(strategy, held), tuple(part.x.shape for part in held))


def over_placed(devices: Devices, placed: Rows, shapes: tuple) -> Engine:
    """Passes over rows that are on the devices already.

    Args:
        devices: where they are.
        placed: a replica's rows on each device.
        shapes: [n, p] of each.
    """
    strategy, dtype = devices.strategy, tf.as_dtype(devices.dtype)

    def sums(name, arguments, problems, width, every=1):
        run = _distributed(strategy, name, width, every, (shapes, _one_problem(arguments)))
        return _arrays(run(placed, _tensors(arguments, dtype), _tensors(problems, dtype)))

    return Engine(sums, on_host=_on_host())


def streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over rows that are read anew each time; arguments as of `placed_or_streamed`."""
    strategy, dtype, replicas = devices.strategy, tf.as_dtype(devices.dtype), devices.replicas
    to_rows = _with_folds(rows, folds)

    def sums(name, arguments, problems, width, every=1):
        shapes = len(rows), len(source.feature_names), _one_problem(arguments)
        run = _distributed(strategy, name, width, every, shapes)

        def batches(mine):
            return pipeline.sequential_batches(
                source, rows, replicas=replicas, mine=mine, columns=columns, dtype=dtype
            ).map(to_rows)

        arguments, problems = _tensors(arguments, dtype), _tensors(problems, dtype)
        total = None
        for block in pipeline.distribute(strategy, batches):
            part = _arrays(run(block, arguments, problems))
            total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
        return total

    return Engine(sums, on_host=_on_host())


def _with_folds(rows: np.ndarray, folds: np.ndarray | None) -> Callable:
    """Batch -> Rows, each with the number of its fold; 0 without folds."""
    if folds is None:
        return lambda batch: Rows(*batch[:4], tf.zeros_like(batch.row, tf.int32))
    table = np.zeros(rows.max() + 1, np.int32)
    table[rows] = folds
    # A tensor, not a constant of the graph, which may take no more than 2 GiB.
    with tf.device("CPU:0"):
        table = tf.constant(table)
    return lambda batch: Rows(*batch[:4], tf.gather(table, tf.maximum(batch.row, 0)))


def _on_host() -> bool:
    """Whether passes run on the cores of the host, there being nothing faster."""
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def _one_problem(arguments: tuple) -> tuple:
    """The shapes of one problem's arguments."""
    return tuple(argument.shape[1:] for argument in arguments)


def _tensors(values: tuple, dtype: tf.DType) -> tuple:
    """Arguments for the devices: real numbers in float64 when X is, else in float32."""
    real = tf.float64 if dtype == tf.float64 else tf.float32
    made = [tf.constant(value, real if np.asarray(value).dtype.kind == "f" else None) for value in values]
    return Problems(*made) if isinstance(values, Problems) else tuple(made)


def _arrays(sums: list) -> list[np.ndarray]:
    """(sum, what its additions lost) pairs -> float64."""
    return [
        total.numpy().astype(np.float64) + lost.numpy().astype(np.float64)
        for total, lost in zip(sums[::2], sums[1::2], strict=True)
    ]


@functools.lru_cache(maxsize=64)
def _distributed(strategy: tf.distribute.Strategy, name: str, width: int, every: int, data):
    """The TensorFlow function of a pass; one for each name, however many problems there are.

    `data` tells rows and problems of different static shapes apart, which must not be generalised over.
    """
    replica = replica_program(name, width, every, placement.on_tpu(strategy))

    @tf.function(reduce_retracing=True, autograph=False)
    def run(rows, arguments, problems):
        sums = strategy.run(replica, args=(rows, arguments, problems))
        return [strategy.experimental_local_results(value)[0] for value in sums]

    return run


@functools.lru_cache(maxsize=64)
def replica_program(name: str, width: int, every: int, tpu: bool) -> Callable:
    """What `strategy.run` is given for a pass: (rows, arguments, problems) -> the sums over all replicas.

    The sums are those of `replica_sums`. `tpu` says what devices it is traced for.
    """

    def replica(rows, arguments, problems):
        with linear.tracing_for_tpu(tpu):
            sums = replica_sums(getattr(row_sums, name), rows, arguments, problems, width=width, every=every)
        context = tf.distribute.get_replica_context()
        if tpu:
            return context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        # One number in float64 for each pair, so that the sum over replicas loses nothing either.
        wide = [
            tf.cast(a, tf.float64) + tf.cast(b, tf.float64)
            for a, b in zip(sums[::2], sums[1::2], strict=True)
        ]
        wide = context.all_reduce(tf.distribute.ReduceOp.SUM, wide)
        return [part for total in wide for part in (total, tf.zeros_like(total))]

    return replica


def replica_sums(
    program: Callable, rows: Rows, arguments: tuple, problems: Problems, *, width: int, every: int = 1
) -> list[tf.Tensor]:
    """One replica's part of a pass: this is the program that a device runs.

    Args:
        program: of `objective/row_sums.py`.
        rows: the replica's, with static shapes.
        arguments, problems: the program's.
        width: numbers that it makes for each row.
        every: take one block of so many.

    Returns:
        For each of the program's sums the sum and what its additions lost.
    """
    num_rows, num_features = rows.x.shape
    # A sample is many small blocks, evenly spread: files are often in the order of a column or a label.
    most = _MOST_ROWS if every == 1 else _SAMPLE_ROWS
    elements = _TPU_BLOCK_ELEMENTS if linear.is_for_tpu() else _BLOCK_ELEMENTS
    # Many problems have sums larger than a small block's rows; adding them up would take as long as the
    # products. 45 problems of 768 x 100: 2.3 s a pass with 64 rows at a time, 1.2 s with 256.
    fewest = _FEWEST_ROWS if every > 1 or width < 8 * num_features else 4 * _FEWEST_ROWS
    block = max(fewest, min(most, elements // (num_features + width), num_rows // every))
    # At multiples of 64 rows a block is a view: it begins where TensorFlow's kernels can read.
    block = min(block // _FEWEST_ROWS * _FEWEST_ROWS, num_rows)
    count = -(-num_rows // block) if block else 1
    if linear.is_for_tpu() and every == 1:  # few blocks: make them equal, so that the last repeats little
        block = min(-(-num_rows // count // _FEWEST_ROWS) * _FEWEST_ROWS, num_rows)

    def start_of(i):
        # The last block ends with the last row; what it shares with the one before does not count.
        return tf.minimum(i * block, num_rows - block)

    def cut(array, i):
        # Not array[start:end], whose length XLA does not know.
        rest = array.shape[1:]
        return tf.slice(array, [start_of(i), *[0] * len(rest)], [block, *rest])

    def sums_of(i, x):
        part = Rows(x, *(cut(array, i) for array in rows[1:]))
        new = tf.range(block) + start_of(i) >= i * block
        return program(*arguments, problems, part._replace(weight=tf.where(new, part.weight, 0)))

    def add(i, x, totals, losses):
        # The next block of X is taken a turn ahead. A TPU keeps it in its vector memory then, from
        # where both products read it; a slice that they share it would read from memory for each.
        ahead = cut(rows.x, i + every)
        pairs = [_add(*terms) for terms in zip(totals, losses, sums_of(i, x), strict=True)]
        return i + every, ahead, *(tuple(part) for part in zip(*pairs, strict=True))

    done, totals = every, sums_of(tf.constant(0), cut(rows.x, tf.constant(0)))
    losses = tuple(map(tf.zeros_like, totals))
    if linear.is_for_tpu():  # half the program: XLA drops the sums that only say what shape zeros have
        done, totals = 0, losses
    start = tf.constant(done), cut(rows.x, tf.constant(done)), totals, losses
    _, _, totals, losses = tf.while_loop(lambda i, *_: i < count, add, start)
    return [part for pair in zip(totals, losses, strict=True) for part in pair]


def _add(total: tf.Tensor, lost: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Total + value, and `lost` with the rounding error of that addition."""
    new = total + value
    back = new - total
    return new, lost + ((total - (new - back)) + (value - back))
