"""Parquet files -> a table.

A file says of itself what is in it, and a damaged one may say anything. So what it says is compared with
the size of the file, the memory and the rows that come, and every text and list is checked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil

from tf_logreg import storage
from tf_logreg.errors import InputError, brief
from tf_logreg.names import describe
from tf_logreg.tables import joining
from tf_logreg.tables.paths import File, files_of_splits
from tf_logreg.tables.table import Table, plain, require_arrow

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ENDINGS = (".parquet", ".pq")
MEMORY_SHARE = 0.75  # of the available memory that the columns of a file may take
_MAGIC = b"PAR1"


def read(path: str, validation_path: str, test_path: str) -> Table:
    """Reads files of all splits; the arguments are those of the source `parquet`.

    Raises:
        InputError: with file and column where there is one.
    """
    require_arrow("data.source")
    files = files_of_splits(path, validation_path, test_path, ENDINGS)
    splits = {split: [_part(file) for file in some] for split, some in files.items()}
    return joining.join(splits, joining.refuse_mixed)


def _part(file: File) -> joining.Part:
    """The rows of a file."""
    with opened(file.path) as parquet:
        # The columns of the file alone: not what pandas noted about an index.
        table = parquet.read(use_pandas_metadata=False)
        table.validate(full=True)
        check_rows(table.num_rows, parquet, file.path)
        return joining.Part(file, plain(table, but_null=True))


@contextlib.contextmanager
def opened(path: str, *, by_groups: bool = False) -> Iterator[pq.ParquetFile]:
    """A file whose footer is checked, while it is read.

    Args:
        by_groups: whether each group of rows must fit in memory, instead of the file.

    Raises:
        InputError: the footer says what cannot be; or for what Arrow raises in the block.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A damaged file can raise any of these, even from a length of text.
    faults = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, UnicodeError, TypeError)
    on_disk = storage.on_disk(path, "data.args.path")
    try:
        _check_magic(on_disk, path)
        with pq.ParquetFile(on_disk, page_checksum_verification=True) as parquet:
            _check_footer(parquet, path, by_groups)
            yield parquet
    except InputError:
        raise
    except faults as error:
        raise InputError(
            f"data.args.path: expected a whole Parquet file. Received: {path!r}, which cannot be read: "
            f"{brief(error, 200) or type(error).__name__}."
        ) from None


def check_rows(count: int, parquet: pq.ParquetFile, path: str) -> None:
    """InputError where other rows came than the footer says."""
    if count != parquet.metadata.num_rows:
        raise InputError(
            f"data.args.path: expected {parquet.metadata.num_rows} rows, as the footer of {path!r} says. "
            f"Received: {count}."
        )


def _check_magic(on_disk: str, path: str) -> None:
    """InputError where a file does not begin and end as Parquet does."""
    import pyarrow as pa

    with pa.OSFile(on_disk) as raw:
        size = raw.size()
        begins = raw.read(4)
        raw.seek(max(size - 4, 0))
        ends = raw.read(4)
    if size == 0:
        raise InputError(f"data.args.path: expected Parquet. Received: an empty file, {path!r}.")
    if begins != _MAGIC:
        raise InputError(
            f"data.args.path: expected Parquet. Received: {path!r}, which begins with {begins!r}; read CSV "
            "with data.source='csv'."
        )
    if ends != _MAGIC:
        raise InputError(
            f"data.args.path: expected a whole Parquet file. Received: {path!r}, whose end is missing; it "
            "was cut off or is still being written."
        )


def _check_footer(parquet: pq.ParquetFile, path: str, by_groups: bool = False) -> None:
    """InputError where a footer says what cannot be, or more than fits in memory."""
    metadata = parquet.metadata
    names = parquet.schema_arrow.names
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(
            f"data.args.path: expected distinct names of columns in {path!r}. Received: {describe(twice, 5)} "
            "twice."
        )
    if not names:
        raise InputError(f"data.args.path: expected columns. Received: none in {path!r}.")
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    if rows != metadata.num_rows or any(group.num_rows < 0 for group in groups):
        raise InputError(
            f"data.args.path: expected a footer of {path!r} that agrees with itself. Received: "
            f"{metadata.num_rows} rows in all, and {rows} in its {len(groups)} groups."
        )
    limit = psutil.virtual_memory().available * MEMORY_SHARE
    sizes = [max(group.total_byte_size, group.num_rows * len(names) / 8) for group in groups]
    needed = max(sizes, default=0) if by_groups else sum(sizes)
    if needed > limit:
        raise InputError(
            f"data.args.path: expected columns that fit in memory, {limit / 2**30:.2f} GiB of it. Received: "
            f"{needed / 2**30:.2f} GiB in {path!r}, as its footer says; read fewer files, or on a larger "
            "machine."
        )
