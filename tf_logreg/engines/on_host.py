"""The engine on the host: runs a named pass of `objective/host_sums.py` on this machine's cores, in NumPy.

Nothing is traced, so a small fit takes milliseconds. Rows are read in blocks that stay in a core's cache,
one block per core. Sums of blocks are added in float64 in the order of the blocks, whose size depends on the
shapes alone (for rows that TensorFlow reads, on its batches): repeats are bit-equal, on any number of cores.

Rows that lie in memory one after another in the dtype of the fit are used where they lie. Their columns are
not shifted and scaled; weights and sums are, which is the same by algebra:
((x - shift) scale) w = x (scale w) - shift (scale w). Columns whose mean is far above their deviation would
lose digits that way, and are shifted in a copy of the block. So are all columns for products of columns.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator

import numpy as np

from tf_logreg import machine
from tf_logreg.data import csr, host_rows, shards
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Batch, Source
from tf_logreg.devices.devices import Devices
from tf_logreg.engines.columns import Split
from tf_logreg.engines.engine import Engine, Held
from tf_logreg.objective import host_sums
from tf_logreg.objective.records import Rows

log = logging.getLogger(__name__)

# (rows in a block, every) -> blocks, each with which of its rows are read: they are taken from it on the core
# that reads them.
Blocks = Callable[[int, int], Iterator[tuple[Rows, slice | np.ndarray]]]

# Of a block of X and a program's intermediates. Smaller ones fit a core's own cache, but each of NumPy's
# calls takes some microseconds, and threads wait for Python's lock in between: 4 MiB are a third faster.
_BLOCK_BYTES = 2**22
_MOST_ROWS, _SAMPLE_ROWS, _FEWEST_ROWS = 2**16, 128, 64
# A sum [q, q] of products of columns takes as long to add as a few hundred rows to multiply.
_FEWEST_TO_SQUARE = 1024
CHOSEN_AMONG = 8  # rows of a sample, of which a Hessian takes one with much curvature
_ALL = slice(None)
_WORTH_THREADS = 2**22  # bytes of a pass: below, it is done about when threads have started


def placed_or_streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over some rows: where they lie, or from one copy if it fits in memory, else read each time.

    Args:
        devices: each of its workers reads its own rows; the sums of all are added.
        source: where rows are read.
        rows: int64 [n], ids of the rows.
        columns: the map from raw to training columns.
        folds: int32 [n], or None when no problem holds a fold out.
    """
    split = Split.of(columns, devices.dtype, sparse=source.sparse)
    if source.sparse:  # They are in memory already. A copy in another dtype shares their indices.
        x, *rest = source.host(_own(devices, rows))[:4]
        folds = None if folds is None else _own(devices, folds)
        return _over(devices, Rows(split.columns(x), *rest[:2], _offset(rest[2], devices), folds), split)
    if (whole := _where_they_lie(devices, source, rows)) is not None:
        x, y, weight, offset, _ = whole
    elif devices.has_room(len(rows), len(source.feature_names)):
        folds = None if folds is None else _own(devices, folds)
        x, y, weight, offset = _copied(source, _own(devices, rows), split.columns, split.dtype)
        split = dataclasses.replace(split, near=None)
    else:
        log.info("The training rows take more than the share of memory: each pass streams them.")
        return streamed(devices, source, rows, columns, folds)
    return _over(devices, Rows(x, y, weight, _offset(offset, devices), folds), split)


def copied_in_float64(
    source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes in float64 over one copy of some rows, as training columns: for small problems.

    Gradients are then as good as those from the raw rows, also where these are float32, and neither weights
    nor blocks are shifted and scaled pass by pass.

    Args:
        source, rows, columns, folds: as of `placed_or_streamed`.
    """

    def training_columns(x: np.ndarray) -> np.ndarray:
        found = np.subtract(csr.laid_out(x), columns.shift, dtype=np.float64)
        return np.multiply(found, columns.scale, out=found)

    x, y, weight, offset = _copied(source, rows, training_columns, np.dtype(np.float64))
    offset = _offset(offset, Devices(dtype="float64"))
    return dataclasses.replace(over_rows(Rows(x, y, weight, offset, folds)), exact=True)


def over_rows(rows: Rows) -> Engine:
    """Passes over rows in memory whose x [n, p] are training columns already."""
    p = rows.x.shape[1]
    return _over(Devices(), rows, Split(rows.x.dtype, None, np.zeros(p), np.ones(p)))


def streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over rows that are read again each time; arguments as of `placed_or_streamed`."""
    mine, fold = _own(devices, rows), None if folds is None else _own(devices, folds)

    def blocks(size: int, every: int) -> Iterator[tuple[Rows, slice | np.ndarray]]:
        start = 0
        for batch in host_rows.host_batches(source, mine, size * source.numbers_a_row):
            stop = start + len(batch.y)
            taken = _sampled(start, stop, len(mine), every)
            part = None if fold is None else fold[start:stop]
            if len(batch.y[taken]):
                yield Rows(*batch[:3], _offset(batch.offset, devices), part), taken
            start = stop

    split = Split.of(columns, devices.dtype, sparse=source.sparse)
    return _engine(devices, blocks, len(mine), split, source.nonzeros)


def _own(devices: Devices, array: np.ndarray) -> np.ndarray:
    """The part of an array [n, ...] over all rows that belongs to this worker's rows."""
    return shards.rows_of(array, devices.workers.replicas, devices.replicas)


def _where_they_lie(devices: Devices, source: Source, rows: np.ndarray) -> Batch | None:
    """All rows as views of arrays in memory; None where that needs a copy."""
    one_after_another = len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all()
    if source.host is None or not one_after_another or devices.workers.count > 1:
        return None
    first, again = (source.host(rows[:1]).x for _ in range(2))
    in_place = first.dtype == devices.dtype and np.may_share_memory(first, again)
    return source.host(rows) if in_place else None


def _copied(
    source: Source, rows: np.ndarray, columns: Callable[[np.ndarray], np.ndarray], dtype: np.dtype
) -> tuple[np.ndarray, ...]:
    """`columns` of x [n, p], labels [n], weights [n] and offsets [n, m or 1] of some rows, read once."""
    n = len(rows)
    x = np.empty((n, len(source.feature_names)), dtype)
    y, weight = np.empty(n, np.int32), np.empty(n, np.float32)
    offset, start = np.empty((n, source.offset_columns)), 0
    for batch in host_rows.host_batches(source, rows):
        part = slice(start, start + len(batch.y))
        x[part], y[part], weight[part], offset[part] = columns(batch.x), *batch[1:4]
        start = part.stop
    return x, y, weight, offset


def _over(devices: Devices, rows: Rows, split: Split) -> Engine:
    """Passes over rows in memory."""
    num_rows, sparse = len(rows.y), csr.issparse(rows.x)
    nonzeros = rows.x.nnz / max(1, num_rows) if sparse else None

    def blocks(size: int, every: int) -> Iterator[tuple[Rows, slice | np.ndarray]]:
        for start in range(0, num_rows, size * every):
            stop = min(start + size * every, num_rows)
            yield _some(rows, slice(start, stop)), _sampled(start, stop, num_rows, every)

    engine = _engine(devices, blocks, num_rows, split, nonzeros)
    if devices.workers.count > 1 or sparse:
        return engine
    return dataclasses.replace(engine, held=Held(rows, lambda *part: split.some_columns(rows.x, *part)))


def _engine(
    devices: Devices, blocks: Blocks, num_rows: int, split: Split, nonzeros: float | None = None
) -> Engine:
    """Passes over this worker's rows; `nonzeros` as of a `Source`."""
    none, p, sparse = np.empty(0, np.int32), len(split.shift), nonzeros is not None
    x = csr.csr_array((0, p), dtype=split.dtype) if sparse else np.empty((0, p), split.dtype)
    empty = Rows(x, none, np.empty(0, np.float32), None, none)
    numbers = max(1, math.ceil(nonzeros)) if sparse else p

    def sums(name, arguments, problems, width, every=1):
        program, options = getattr(host_sums, name), {}
        if name in host_sums.SQUARED:
            options["columns"] = split.training_columns
        weights = [split.weights(w) for w in arguments]
        size = _block_rows(name, weights[0], num_rows // every, numbers)
        if name == "hessian" and every > 1:
            options["every"] = among = min(every, CHOSEN_AMONG)
            every //= among
            size = max(
                _FEWEST_TO_SQUARE * among,
                _block_rows("value_and_gradient", weights[0], num_rows // every, numbers),
            )

        def of_block(part: tuple[Rows, slice | np.ndarray]) -> list[np.ndarray]:
            block = _some(*part)
            found = program(*weights, problems, block._replace(x=split.columns(block.x)), **options)
            return [one.astype(np.float64, copy=False) for one in found]

        total = None
        for found in machine.in_parallel(of_block, blocks(size, every)):
            if total is None:
                total = found
            else:
                for whole, part in zip(total, found, strict=True):
                    whole += part
        total = _of_all_workers(devices, of_block((empty, _ALL)) if total is None else total)
        if name in host_sums.GRADIENTS:
            total[-1] = split.gradient(total[-1])
        elif name in host_sums.SPARSE:
            total[2], total[1] = split.diagonals(total[2], total[1]), split.gradient(total[1])
        return total

    def one_in(every: int) -> Engine:
        size = max(_FEWEST_ROWS, _BLOCK_BYTES // (split.dtype.itemsize * (numbers + 1)))
        parts = [_some(*part) for part in blocks(size, every)]
        rows = _joined([part._replace(x=split.columns(part.x)) for part in parts] or [empty])
        return _over(devices, rows, dataclasses.replace(split, near=None))

    return Engine(sums, on_host=True, chosen_among=CHOSEN_AMONG, one_in=one_in, sparse=sparse)


def _joined(parts: list[Rows]) -> Rows:
    """Parts of rows, one after another; where only some have offsets, those of the others are zero."""
    shapes = [one.offset.shape[1] for one in parts if one.offset is not None]
    if shapes:
        parts = [
            one._replace(offset=np.zeros((len(one.y), shapes[0]), one.x.dtype)) if one.offset is None else one
            for one in parts
        ]
    return Rows(*(None if field[0] is None else csr.stacked(field) for field in zip(*parts, strict=True)))


def _of_all_workers(devices: Devices, sums: list[np.ndarray]) -> list[np.ndarray]:
    """The sums of all workers, in one message."""
    if devices.workers.count == 1:
        return sums
    whole = devices.gather(np.concatenate([part.ravel() for part in sums])).sum(axis=0)
    parts = np.split(whole, np.cumsum([part.size for part in sums])[:-1])
    return [part.reshape(like.shape) for part, like in zip(parts, sums, strict=True)]


def _block_rows(name: str, w: np.ndarray, num_rows: int, numbers: int) -> int:
    """Number of rows, each of so many numbers, in a block of the program `name` at w [K, q, m].

    A pass reads `num_rows`.
    """
    fewest = _FEWEST_TO_SQUARE if name in host_sums.SQUARED else _FEWEST_ROWS
    if numbers < w.shape[1] - 1:  # of sparse rows a sum has many numbers beside a row's
        fewest = max(fewest, min(_MOST_ROWS, host_rows.NUMBERS_A_SUM * w.shape[1] // numbers))
    row_bytes = w.itemsize * host_sums.numbers_a_row(name, w, numbers)
    if num_rows * row_bytes <= _WORTH_THREADS:
        return max(1, num_rows)
    rows = _BLOCK_BYTES // row_bytes
    return max(fewest, min(_MOST_ROWS, rows // _FEWEST_ROWS * _FEWEST_ROWS))


def _sampled(start: int, stop: int, num_rows: int, every: int) -> np.ndarray | slice:
    """Which of the rows start..stop - 1 a pass reads: small groups, evenly spaced.

    Files are often sorted by a column or a label.
    """
    if every == 1:
        return _ALL
    group = max(1, min(_SAMPLE_ROWS, num_rows // every))
    first = np.arange(start // (group * every) * group * every, stop, group * every)
    at = (first[:, None] + np.arange(group)).ravel()
    return at[(at >= start) & (at < stop)] - start


def _some(rows: Rows, which: slice | np.ndarray) -> Rows:
    some = (None if array is None else array[which] for array in rows[1:])
    return Rows(csr.part(rows.x, which), *some)


def _offset(offset: np.ndarray, devices: Devices) -> np.ndarray | None:
    """Offsets in the dtype of the fit; None where all are zero."""
    return offset.astype(devices.dtype, copy=False) if offset.any() else None
