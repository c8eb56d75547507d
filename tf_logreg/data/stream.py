"""The record of rows that can be read only one after another: `Stream`.

Such rows are decoded or computed once, and kept (`kept_rows.py`), since everything else reads rows by index.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np


class Block(NamedTuple):
    """Some records of a split, one after another.

    Attributes:
        records: how many there are, with those left out.
        x: [B, *row_shape]. y: [B]. Of those that are not left out.
        left_out: of the others, by their places among the records, why.
    """

    records: int
    x: np.ndarray
    y: np.ndarray
    left_out: Mapping[int, str]


@dataclasses.dataclass(frozen=True)
class Stream:
    """Rows of splits that are read one after another.

    Attributes:
        name: what they are called in the folder in which they are kept.
        made_from: what decides on every number, as JSON; called only where rows are kept on the disk.
        splits: number of records by split, in the order in which they are read.
        blocks: (split, record to begin with, records in a block, 0 for as many as suit them) -> its blocks;
            the last may be shorter.
        row_shape: of x of a row. dtype: of x. y_dtype: of labels.
        class_names: names of the classes whose indices labels are; () where labels stand for themselves.
        unit: factor of x, 1 / 255 for images of bytes.
        place: (split, record) -> description of its location, for messages.
        on_bad_lines: 'error' at records that cannot be used; or 'skip' or 'warn': they are left out.
        take_long: whether rows are kept on the disk even if they fit in memory, as making them takes long.
    """

    name: str
    made_from: Callable[[], dict]
    splits: Mapping[str, int]
    blocks: Callable[[str, int, int], Iterator[Block]]
    row_shape: tuple[int, ...]
    dtype: np.dtype
    y_dtype: np.dtype
    class_names: tuple[str, ...]
    place: Callable[[str, int], str]
    unit: float = 1.0
    on_bad_lines: str = "error"
    take_long: bool = False

    @property
    def num_records(self) -> int:
        """Number of records in all splits."""
        return sum(self.splits.values())

    @property
    def row_bytes(self) -> int:
        """Bytes of x of a row."""
        return int(np.prod(self.row_shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize
