"""Parquet files block by block, with the types of whole columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from tf_logreg.tables import blocks, joining, parquet_files
from tf_logreg.tables.blocks import Blocks
from tf_logreg.tables.joining import Part
from tf_logreg.tables.paths import File, files_of_splits
from tf_logreg.tables.table import plain, require_arrow

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 2**16  # of a batch


def read(path: str, columns: Collection[str]) -> Blocks:
    """Rows of files.

    Args:
        path: as of the source `parquet`.
        columns: names of those that are read.

    Raises:
        InputError: with file and column where there is one; also while blocks are read.
    """
    require_arrow("--input")
    files = files_of_splits(path, "", "", parquet_files.ENDINGS)["train"]
    parts = [Part(file, _schema(file, columns).empty_table()) for file in files]

    def is_known(part: Part, name: str) -> bool:
        return any(table.column(0).null_count < len(table) for table in _tables(part.file, [name]))

    def read_part(part: Part, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        folders = dict(part.file.partitions)
        return _tables(part.file, [name for name in types if name not in folders])

    return blocks.of_parts(parts, columns, read_part, is_known=is_known, settle=joining.refuse_mixed)


def _schema(file: File, columns: Collection[str]) -> pa.Schema:
    """The plain types of a file's columns; null of those that say so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with parquet_files.opened(file.path, by_groups=True) as parquet:
        given = parquet.schema_arrow
    found = plain(given.empty_table(), but_null=True).schema
    for at, field in enumerate(given):
        # Whole numbers of 64 bits without a sign are int64 but where one is too large.
        if field.type == pa.uint64() and field.name in columns:
            most = (pc.max(table.column(0)).as_py() or 0 for table in _tables(file, [field.name]))
            if max(most, default=0) >= 2**63:
                found = found.set(at, pa.field(field.name, pa.float64()))
    return found


def _tables(file: File, names: list[str]) -> Iterator[pa.Table]:
    """The rows of a file bit by bit, with these columns, in their own types."""
    import pyarrow as pa

    with parquet_files.opened(file.path, by_groups=True) as parquet:
        count = 0
        names = names or parquet.schema_arrow.names[:1]
        for batch in parquet.iter_batches(_ROWS, columns=names):
            table = pa.Table.from_batches([batch]).select(names)
            table.validate(full=True)
            count += len(table)
            yield table
        parquet_files.check_rows(count, parquet, file.path)
