"""Rows of a `Stream` -> arrays: in memory, or in files that are mapped into it and serve later runs too.

A folder for each content, named by what it was made from: `x` and `y`, numbers without a header, and
`rows.json`, which is written last. While rows are made, `progress.json` says up to where the files are whole,
and a run that follows a killed one goes on there. Nothing depends on what was killed when.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import psutil

from tf_logreg import storage
from tf_logreg.data import labels
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import Source
from tf_logreg.data.stream import Block, Stream
from tf_logreg.devices import memory
from tf_logreg.errors import InputError

log = logging.getLogger(__name__)

SHARE = 0.25  # of the free memory that rows may take; more are kept on the disk
_FORMAT = {"format": "tf_logreg rows", "version": 1}
_MARKER, _PROGRESS = "rows.json", "progress.json"
_FIELD = "data.cache_dir"
_SECONDS = 10.0  # between two lines in the log
_SECONDS_TO_SAVE = 10.0  # between two notes of how far the files are whole
_MOST_NAMED = 10  # records left out, in a message


@dataclasses.dataclass
class _Done:
    """What has been read: records and rows by split, and which records were left out, with why."""

    records: dict[str, int]
    rows: dict[str, int]
    left_out: dict[str, dict[int, str]]

    @classmethod
    def nothing(cls, stream: Stream) -> _Done:
        """Before the first block."""
        zeros = dict.fromkeys(stream.splits, 0)
        return cls(zeros, zeros.copy(), {split: {} for split in stream.splits})

    @classmethod
    def of_json(cls, found: dict) -> _Done:
        """What `vars` of one became in JSON, whose keys are texts."""
        records, rows = ({s: int(n) for s, n in found[name].items()} for name in ("records", "rows"))
        left_out = {s: {int(k): why for k, why in some.items()} for s, some in found["left_out"].items()}
        return cls(records, rows, left_out)

    def add(self, split: str, block: Block) -> None:
        """Counts a block."""
        first = self.records[split]
        self.left_out[split] |= {first + place: why for place, why in block.left_out.items()}
        self.records[split] += block.records
        self.rows[split] += len(block.y)

    @property
    def num_rows(self) -> int:
        """Number of rows in all splits."""
        return sum(self.rows.values())


class Kept(NamedTuple):
    """Rows, split by split: x [n, *row_shape], y [n]; and what they were read from."""

    x: np.ndarray
    y: np.ndarray
    done: _Done


def source_of(stream: Stream, cache_dir: str = "") -> Source:
    """The rows of a stream, which are made now unless an earlier run kept them.

    Args:
        stream: the rows.
        cache_dir: where they are kept, as config.data.cache_dir.

    Raises:
        InputError: a record cannot be used, labels are none, or the disk has no room.
    """
    kept = keep(stream, cache_dir)
    _say_left_out(stream, kept.done)
    y, class_names = labels.encode(kept.y, stream.class_names, indices=True)
    starts = np.cumsum([0, *kept.done.rows.values()]).tolist()
    splits = {split: range(*starts[k : k + 2]) for k, split in enumerate(kept.done.rows)}

    def place(row: int) -> str:
        split = next(split for split, rows in splits.items() if row in rows)
        return stream.place(split, _record(row - splits[split].start, kept.done.left_out[split]))

    return from_arrays(
        kept.x.reshape(len(y), -1),
        y,
        class_names=class_names,
        splits=splits,
        unit=stream.unit,
        place=place,
    )


def keep(stream: Stream, cache_dir: str) -> Kept:
    """The rows of a stream: in memory, or on the disk where they take much of it, or long to make."""
    needed, free = stream.num_records * stream.row_bytes, psutil.virtual_memory().available
    if not stream.take_long and needed <= SHARE * free:
        return _in_memory(stream)
    made_from = json.loads(json.dumps({**stream.made_from(), "dtype": str(np.dtype(stream.dtype))}))
    name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', stream.name)}-{name}"
    folder = storage.Folder(os.path.join(storage.cache_dir(cache_dir), name), _FIELD)
    if (kept := _read(stream, folder, made_from)) is not None:
        log.info("Rows are read from %s, where an earlier run kept them.", folder.path)
        return kept
    log.info("Rows are made once and kept in %s, %.2f GiB.", folder.path, needed / 2**30)
    # Another process that makes the same rows is waited for.
    with folder.owned(wait=math.inf) as mine:
        if (kept := _read(stream, mine, made_from)) is None:
            _make(stream, mine, made_from)
            kept = _read(stream, mine, made_from)
    return kept


def _in_memory(stream: Stream) -> Kept:
    """The rows of a stream, read into memory."""
    x = memory.empty((stream.num_records, *stream.row_shape), stream.dtype)
    y, done = np.empty(stream.num_records, stream.y_dtype), _Done.nothing(stream)
    for split, block in _blocks(stream, done):
        row = done.num_rows
        x[row : row + len(block.y)], y[row : row + len(block.y)] = block.x, block.y
        done.add(split, block)
    return Kept(x[: done.num_rows], y[: done.num_rows], done)


def _blocks(stream: Stream, done: _Done) -> Iterator[tuple[str, Block]]:
    """The blocks that are not done, with their splits; the reader adds each to `done`. Logs how far it is."""
    start = last = time.perf_counter()
    before, total = sum(done.records.values()), stream.num_records
    for split, promised in stream.splits.items():
        for block in stream.blocks(split, done.records[split], 0):
            if block.left_out and stream.on_bad_lines == "error":
                place, why = min(block.left_out.items())
                raise _refused(stream, split, done.records[split] + place, why)
            yield split, block
            if (now := time.perf_counter()) - last >= _SECONDS:
                last, count = now, sum(done.records.values())
                rate = (count - before) / (now - start)
                log.info(
                    "%d of %d rows of %s, %.0f rows/s, %.0f s left",
                    count, total, stream.name, rate, (total - count) / rate,
                )  # fmt: skip
        if done.records[split] != promised:
            raise InputError(
                f"data: expected {promised} rows in split {split!r} of {stream.name}. Received: "
                f"{done.records[split]}."
            )
    if not done.num_rows:
        raise InputError(f"data: expected rows that can be read. Received: none of {total} of {stream.name}.")


def _refused(stream: Stream, split: str, record: int, why: str) -> InputError:
    return InputError(
        f"data: expected rows that can be read. Received: {why}: {stream.place(split, record)}. "
        "data.args.on_bad_lines='skip' or 'warn' leaves such rows out."
    )


def _make(stream: Stream, folder: storage.Folder, made_from: dict) -> None:
    """Writes the rows that are not there yet, and the marker last."""
    done = _begun(stream, folder, made_from)
    y_bytes = np.dtype(stream.y_dtype).itemsize
    needed = (stream.num_records - done.num_rows) * (stream.row_bytes + y_bytes)
    free = shutil.disk_usage(folder.path).free
    if needed > free:
        raise InputError(
            f"{_FIELD}: expected room for {needed / 2**30:.2f} GiB of rows. Received: {folder.path!r}, where "
            f"{free / 2**30:.2f} GiB are free."
        )
    if done.num_rows:
        log.info("An earlier run left %d rows there: it is gone on behind them.", done.num_rows)
    with contextlib.ExitStack() as files:

        def opened(name: str, row_bytes: int) -> storage.RowFile:
            size = done.num_rows * row_bytes
            return files.enter_context(storage.appended(folder.where(name), size, _FIELD))

        x, y = opened("x", stream.row_bytes), opened("y", y_bytes)

        def save(name: str) -> None:
            x.sync()
            y.sync()
            folder.write_json(name, {**_FORMAT, "made_from": made_from, **vars(done)})

        last = time.perf_counter()
        for split, block in _blocks(stream, done):
            x.append(block.x)
            y.append(block.y)
            done.add(split, block)
            if time.perf_counter() - last >= _SECONDS_TO_SAVE:
                save(_PROGRESS)
                last = time.perf_counter()
        save(_MARKER)
    folder.remove(_PROGRESS)


def _begun(stream: Stream, folder: storage.Folder, made_from: dict) -> _Done:
    """How far an earlier run came, or nothing where that is not known for certain."""
    folder.sweep()
    folder.remove(_MARKER)  # of other rows, or of files that are not whole
    if folder.holds(_PROGRESS):
        done = _noted(folder, _PROGRESS, made_from)
        if done is not None and _are_whole(stream, folder, done, at_least=True):
            _check_left_out(stream, done)
            return done
    for name in ("x", "y"):  # not emptied: another process may still have them mapped
        folder.remove(name)
    return _Done.nothing(stream)


def _read(stream: Stream, folder: storage.Folder, made_from: dict) -> Kept | None:
    """Rows that are there, mapped into memory; None where they are not, or not whole."""
    if not folder.holds(_MARKER):
        return None
    done = _noted(folder, _MARKER, made_from)
    if done is None or not _are_whole(stream, folder, done):
        log.warning("%s: the rows there are damaged, and made again.", folder.path)
        return None
    _check_left_out(stream, done)
    x, y = (
        storage.mapped(folder.where(name), dtype, shape)
        for name, dtype, shape in (("x", stream.dtype, stream.row_shape), ("y", stream.y_dtype, ()))
    )
    return Kept(x, np.array(y), done)


def _noted(folder: storage.Folder, name: str, made_from: dict) -> _Done | None:
    """What a file says was done; None where it is damaged or says it of other rows."""
    try:
        found = folder.read_json(name)
        if {**_FORMAT, "made_from": made_from}.items() <= found.items():
            return _Done.of_json(found)
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        pass
    return None


def _are_whole(stream: Stream, folder: storage.Folder, done: _Done, *, at_least: bool = False) -> bool:
    """Whether the files have the bytes of the rows, or at least these."""
    for name, row_bytes in (("x", stream.row_bytes), ("y", np.dtype(stream.y_dtype).itemsize)):
        size, needed = storage.size(folder.where(name)), done.num_rows * row_bytes
        if size < needed or (size > needed and not at_least):
            return False
    return True


def _check_left_out(stream: Stream, done: _Done) -> None:
    """InputError where an earlier run left records out, and this one is not to."""
    for split, left_out in done.left_out.items():
        if left_out and stream.on_bad_lines == "error":
            record, why = min(left_out.items())
            raise _refused(stream, split, record, why)


def _say_left_out(stream: Stream, done: _Done) -> None:
    """Says how many records were left out, and names the first ten."""
    some = [(split, record) for split, left_out in done.left_out.items() for record in left_out]
    if not some:
        return
    say = log.warning if stream.on_bad_lines == "warn" else log.info
    named = ", ".join(stream.place(*one) for one in some[:_MOST_NAMED])
    more = ", ..." if len(some) > _MOST_NAMED else ""
    say("%d rows that cannot be read were left out: %s%s.", len(some), named, more)


def _record(row: int, left_out: dict[int, str]) -> int:
    """The record that became a row, both counted from 0."""
    before = np.array(sorted(left_out), np.int64)
    # Row r is record r + k where k records before it were left out.
    return row + int(np.searchsorted(before - np.arange(len(before)), row, side="right"))
