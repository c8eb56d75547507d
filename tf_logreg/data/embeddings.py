"""Rows behind an encoder: its vectors of all rows, made once on the devices, and kept for later runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import encoders, host_rows, kept_rows
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.encoders import Encoder
from tf_logreg.data.source import Source
from tf_logreg.data.stream import Block, Stream
from tf_logreg.devices import placement, workers
from tf_logreg.devices.strategies import make_strategy
from tf_logreg.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_ROWS_A_DEVICE = {True: 32, False: 128}  # in a batch, by whether the device is a CPU
_FEW = 4  # rows that are encoded in two batches
_ALIKE = 0.02  # relative difference of embeddings that rounding may make, in bfloat16 too
_ALL = ""  # the one split of a source's rows, all of them in their order


def source_of(
    found: Source | Stream,
    data: ConfigDict,
    made_from: Callable[[], dict],
    encoding: encoders.Encoding,
) -> Source:
    """The rows with an encoder's vectors for features, which are made now unless an earlier run kept them.

    Args:
        found: the rows.
        data: the config's section: encoder, encoder_weights, cache_dir and source, its name.
        made_from: of a `Source` what decides on its numbers, as JSON.
        encoding: who encodes.

    Raises:
        InputError: the encoder or the rows cannot be used.
    """
    strategy = local(encoding.strategy or make_strategy("one_device"))
    stream = found if isinstance(found, Stream) else stream_of(found, data.source, made_from)
    encoder = encoders.load(data.encoder, data.encoder_weights, stream.row_shape, strategy, encoding.model)
    stream = encoded(stream, encoder, strategy)
    if isinstance(found, Stream):
        return kept_rows.source_of(stream, data.cache_dir)
    return in_place_of_rows(found, stream, data.cache_dir)


def encoded(stream: Stream, encoder: Encoder, strategy: tf.distribute.Strategy) -> Stream:
    """The vectors that an encoder makes of the rows of a stream.

    Args:
        stream: rows whose shape the encoder takes. It gets their own numbers as float32, 0..255 of images.
        encoder: made for the strategy.
        strategy: each of its replicas encodes a share of each batch.
    """
    run = _on_replicas(encoder, strategy)
    size = _ROWS_A_DEVICE[placement.on_cpu(strategy)] * strategy.num_replicas_in_sync

    def blocks(split: str, start: int, _: int) -> Iterator[Block]:
        is_checked = False
        for block in stream.blocks(split, start, size):
            if not is_checked and len(block.x):
                _check_alike(run, block.x, size, encoder)
                is_checked = True
            x = run(block.x, size) if len(block.x) else np.zeros((0, encoder.width), np.float32)
            yield block._replace(x=x)

    return dataclasses.replace(
        stream,
        name=f"{stream.name} behind {encoder.name}",
        made_from=lambda: {"rows": stream.made_from(), "encoder": encoder.identity},
        blocks=blocks,
        row_shape=(encoder.width,),
        dtype=np.dtype(np.float32),
        unit=1.0,
        take_long=True,
    )


def stream_of(source: Source, name: str, made_from: Callable[[], dict]) -> Stream:
    """The rows of a dense source in their order, as one split.

    Args:
        source: the rows.
        name, made_from: as of `Stream`.

    Raises:
        InputError: the rows are sparse.
    """
    if source.sparse:
        raise InputError("data.encoder: expected '' with sparse rows. Received: an encoder.")

    def blocks(_: str, start: int, size: int) -> Iterator[Block]:
        width = len(source.feature_names)
        rows = np.arange(start, _num_rows(source))
        if source.host is not None:
            found = host_rows.host_batches(source, rows, size * width)
        else:
            found = _regrouped(host_rows.host_batches(source, rows), size)
        for batch in found:
            yield Block(len(batch.y), batch.x.reshape(-1, *row_shape), batch.y, {})

    row_shape = source.row_shape or (len(source.feature_names),)
    return Stream(
        name=name,
        made_from=made_from,
        splits={_ALL: _num_rows(source)},
        blocks=blocks,
        row_shape=row_shape,
        dtype=source.x_dtype,
        y_dtype=np.dtype(np.int32),
        class_names=source.class_names,
        place=lambda _, record: source.place(record),
    )


def in_place_of_rows(source: Source, stream: Stream, cache_dir: str) -> Source:
    """A source with embeddings for features: labels, weights, splits and all else are its own.

    Args:
        source: the rows. stream: `encoded` of its `stream_of`. cache_dir: config.data.cache_dir.
    """
    x, rows = kept_rows.keep(stream, cache_dir).x, np.arange(_num_rows(source))
    weights = [batch.weight for batch in host_rows.host_batches(source, rows)]
    found = from_arrays(
        x,
        source.labels(rows),
        class_names=source.class_names,
        weight=np.concatenate(weights),
        splits=source.splits,
        place=source.place,
        extras=source.extras,
    )
    exponent = found.weight_exponent + source.weight_exponent
    return dataclasses.replace(found, weight_exponent=exponent)


def local(strategy: tf.distribute.Strategy) -> tf.distribute.Strategy:
    """A strategy over this process' devices: each worker encodes by itself, whenever it does."""
    import tensorflow as tf

    if workers.of(strategy).count == 1:
        return strategy
    devices = placement.devices(strategy)
    if len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    return tf.distribute.MirroredStrategy(devices)


def _num_rows(source: Source) -> int:
    return max(rows.stop for rows in source.splits.values())


def _regrouped(batches: Iterator, size: int) -> Iterator:
    """The same rows in batches of `size`, which do not cross those that they come in."""
    for batch in batches:
        for start in range(0, len(batch.y), size):
            yield type(batch)(*(field[start : start + size] for field in batch))


def _on_replicas(
    encoder: Encoder, strategy: tf.distribute.Strategy
) -> Callable[[np.ndarray, int], np.ndarray]:
    """(rows [n, ...], batch size >= n) -> vectors [n, d] float32; the last row fills up the batch."""
    import tensorflow as tf

    replicas = strategy.num_replicas_in_sync

    @tf.function(autograph=False)
    def run(x):
        return strategy.run(encoder.encode, args=(x,))

    def encode(rows: np.ndarray, size: int) -> np.ndarray:
        share = -(-size // replicas)
        x = np.empty((share * replicas, *encoder.input_shape), np.float32)
        x[: len(rows)] = rows.reshape(-1, *encoder.input_shape)
        x[len(rows) :] = x[len(rows) - 1]
        parts = [x[k * share : (k + 1) * share] for k in range(replicas)]
        found = strategy.experimental_local_results(run(placement.place(strategy, parts)))
        return np.concatenate([part.numpy() for part in found])[: len(rows)]

    return encode


def _check_alike(run: Callable, x: np.ndarray, size: int, encoder: Encoder) -> None:
    """InputError where a few rows have other vectors in a small batch than in a large one."""
    few = x[: min(_FEW, len(x))]
    alone, among = run(few, len(few)), run(x, size)[: len(few)]
    scale, apart = np.linalg.norm([alone, among]), np.linalg.norm(alone - among)
    if apart > _ALIKE * scale:
        raise InputError(
            "data.encoder: expected a vector that depends on its row alone. Received: "
            f"{encoder.name}, which gives {len(few)} rows others in a batch of {len(few)} than in one of "
            f"{size}, {apart / scale:.1%} apart: a layer works as in training, BatchNormalization or Dropout "
            "for one."
        )
