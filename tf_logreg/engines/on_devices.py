"""The engine on devices: runs a named pass of `objective/row_sums.py` over all rows on every replica.

Rows are resident on the devices, or streamed to them in blocks; callers need not know which.
A replica processes rows in blocks that fit in a core's cache, so a program that uses X twice reads it
from memory once, and logits take only the memory of a block. Sums of blocks are added together with the
rounding error of each addition (Ogita, Rump and Oishi, SIAM J. Sci. Comput. 26, 2005, alg. 4.3):
10^9 rows lose no digits, even without float64.
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

_BLOCK_ELEMENTS = 2**21  # floats in a block, of X and a program's intermediates
_TPU_BLOCK_ELEMENTS = 2**23  # a TPU's vector memory holds two such blocks of X beside the rest
_MOST_ROWS, _SAMPLE_ROWS, _FEWEST_ROWS = 2**17, 128, 64


def placed_or_streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over some rows: placed on the devices once if they fit, else streamed each time.

    Args:
        devices: where the replicas are; each holds the rows of its own shards.
        source: where rows are read.
        rows: int64 [n], ids of the rows.
        columns: the map from raw to training columns.
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
        devices: where the rows are.
        placed: each replica's rows, on its device.
        shapes: [n, p] of each replica's rows.
    """
    strategy, dtype = devices.strategy, tf.as_dtype(devices.dtype)

    def sums(name, arguments, problems, width, every=1):
        run = _distributed(strategy, name, width, every, (shapes, _one_problem(arguments)))
        return _arrays(run(placed, _tensors(arguments, dtype), _tensors(problems, dtype)))

    return Engine(sums, on_host=_on_host())


def streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over rows that are read again each time; arguments as of `placed_or_streamed`."""
    strategy, dtype, replicas = devices.strategy, tf.as_dtype(devices.dtype), devices.replicas
    to_rows, num_features = _with_folds(rows, folds), len(source.feature_names)
    block, count = pipeline.sequential_blocks(len(rows), num_features, replicas)

    def batches(mine):
        one_pass = pipeline.sequential_batches(
            source, rows, replicas=replicas, mine=mine, columns=columns, dtype=dtype
        )
        return one_pass.map(to_rows).repeat()

    @functools.cache
    def blocks():
        # One pass after another, without end: to begin a pass anew takes half a second with four replicas.
        return iter(pipeline.distribute(strategy, batches))

    def sums(name, arguments, problems, width, every=1):
        run = _distributed(strategy, name, width, every, (block, num_features, _one_problem(arguments)))
        arguments, problems = _tensors(arguments, dtype), _tensors(problems, dtype)
        total = None
        for _ in range(count):
            part = _arrays(run(next(blocks()), arguments, problems))
            total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
        return total

    return Engine(sums, on_host=_on_host())


def _with_folds(rows: np.ndarray, folds: np.ndarray | None) -> Callable:
    """Batch -> Rows, each with the number of its fold; 0 without folds."""
    if folds is None:
        return lambda batch: Rows(*batch[:4], tf.zeros_like(batch.row, tf.int32))
    table = np.zeros(rows.max() + 1, np.int32)
    table[rows] = folds
    # A tensor, not a constant of the graph, which is limited to 2 GiB.
    with tf.device("CPU:0"):
        table = tf.constant(table)
    return lambda batch: Rows(*batch[:4], tf.gather(table, tf.maximum(batch.row, 0)))


def _on_host() -> bool:
    """Whether passes run on the CPU, as there is no accelerator."""
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def _one_problem(arguments: tuple) -> tuple:
    """The shapes of one problem's arguments."""
    return tuple(argument.shape[1:] for argument in arguments)


def _tensors(values: tuple, dtype: tf.DType) -> tuple:
    """Arguments as tensors: real numbers in float64 if X is float64, else in float32."""
    real = tf.float64 if dtype == tf.float64 else tf.float32
    made = [tf.constant(value, real if np.asarray(value).dtype.kind == "f" else None) for value in values]
    return Problems(*made) if isinstance(values, Problems) else tuple(made)


def _arrays(sums: list) -> list[np.ndarray]:
    """(sum, rounding error) pairs -> float64 arrays."""
    return [
        total.numpy().astype(np.float64) + lost.numpy().astype(np.float64)
        for total, lost in zip(sums[::2], sums[1::2], strict=True)
    ]


@functools.lru_cache(maxsize=64)
def _distributed(strategy: tf.distribute.Strategy, name: str, width: int, every: int, data):
    """The TensorFlow function of a pass; one per name, for any number of problems.

    `data` has the static shapes of rows and problems, which need functions of their own.
    """
    replica = replica_program(name, width, every, placement.on_tpu(strategy))

    @tf.function(reduce_retracing=True, autograph=False)
    def run(rows, arguments, problems):
        sums = strategy.run(replica, args=(rows, arguments, problems))
        return [strategy.experimental_local_results(value)[0] for value in sums]

    return run


@functools.lru_cache(maxsize=64)
def replica_program(name: str, width: int, every: int, tpu: bool) -> Callable:
    """A pass as a function for `strategy.run`: (rows, arguments, problems) -> sums over all replicas.

    The sums are those of `replica_sums`. `tpu`: whether it is traced for TPUs.
    """

    def replica(rows, arguments, problems):
        with linear.tracing_for_tpu(tpu):
            sums = replica_sums(getattr(row_sums, name), rows, arguments, problems, width=width, every=every)
        context = tf.distribute.get_replica_context()
        if tpu:
            return context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        # Each pair becomes one float64 number, so that the sum over replicas loses no digits either.
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
    """One replica's part of a pass: the program that runs on a device.

    Args:
        program: from `objective/row_sums.py`.
        rows: the replica's rows, with static shapes.
        arguments, problems: arguments of the program.
        width: number of intermediate values per row.
        every: read one block of every `every`.

    Returns:
        For each of the program's sums, the sum and the rounding error of its additions.
    """
    num_rows, num_features = rows.x.shape
    # A sample is many small blocks, evenly spaced: files are often sorted by a column or a label.
    most = _MOST_ROWS if every == 1 else _SAMPLE_ROWS
    elements = _TPU_BLOCK_ELEMENTS if linear.is_for_tpu() else _BLOCK_ELEMENTS
    # With many problems the sums are larger than a small block's rows, and adding them takes as long as the
    # products. 45 problems of 768 x 100: 2.3 s per pass with blocks of 64 rows, 1.2 s with 256.
    fewest = _FEWEST_ROWS if every > 1 or width < 8 * num_features else 4 * _FEWEST_ROWS
    block = max(fewest, min(most, elements // (num_features + width), num_rows // every))
    # A block that starts at a multiple of 64 rows is a view, aligned as TensorFlow's kernels need it.
    block = min(block // _FEWEST_ROWS * _FEWEST_ROWS, num_rows)
    count = -(-num_rows // block) if block else 1
    if linear.is_for_tpu() and every == 1:  # few blocks: equal ones overlap little at the end
        block = min(-(-num_rows // count // _FEWEST_ROWS) * _FEWEST_ROWS, num_rows)

    def start_of(i):
        # The last block ends at the last row; rows that it shares with the previous block do not count.
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
        # The next block of X is read one iteration early. A TPU then keeps it in vector memory for both
        # products; a slice taken in the same iteration would be read from memory once per product.
        ahead = cut(rows.x, i + every)
        pairs = [_add(*terms) for terms in zip(totals, losses, sums_of(i, x), strict=True)]
        return i + every, ahead, *(tuple(part) for part in zip(*pairs, strict=True))

    done, totals = every, sums_of(tf.constant(0), cut(rows.x, tf.constant(0)))
    losses = tuple(map(tf.zeros_like, totals))
    if linear.is_for_tpu():  # halves the program: XLA drops sums used only for their shape
        done, totals = 0, losses
    start = tf.constant(done), cut(rows.x, tf.constant(done)), totals, losses
    _, _, totals, losses = tf.while_loop(lambda i, *_: i < count, add, start)
    return [part for pair in zip(totals, losses, strict=True) for part in pair]


def _add(total: tf.Tensor, lost: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Total + value, and `lost` plus the rounding error of that addition."""
    new = total + value
    back = new - total
    return new, lost + ((total - (new - back)) + (value - back))
