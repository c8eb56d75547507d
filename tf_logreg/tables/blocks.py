"""`Blocks`: the rows of files block by block, in memory that does not grow with the files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from tf_logreg.tables import joining
from tf_logreg.tables.joining import MixedTypesError, Part
from tf_logreg.tables.table import plain_column

if TYPE_CHECKING:
    import pyarrow as pa

# A part and the types of some columns for all parts -> the part's rows bit by bit, with these columns.
Read = Callable[[Part, Mapping[str, "pa.DataType"]], Iterator["pa.Table"]]


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Rows of files, which may be read again and again.

    Attributes:
        names: of all columns.
        pieces: gives the rows bit by bit, with the columns that were asked for, in types of all rows.
    """

    names: tuple[str, ...]
    pieces: Callable[[], Iterator[pa.Table]]

    def of_rows(self, size: int) -> Iterator[pa.Table]:
        """Blocks of `size` rows, the last one of fewer."""
        import pyarrow as pa

        held, count = [], 0
        for piece in self.pieces():
            held.append(piece)
            count += len(piece)
            if count >= size:
                table = pa.concat_tables(held)
                whole = count - count % size
                yield from (table.slice(start, size) for start in range(0, whole, size))
                held, count = [table.slice(whole)], count - whole
        if count:
            yield pa.concat_tables(held)


def of_parts(
    parts: list[Part],
    columns: Collection[str],
    read: Read,
    *,
    is_known: Callable[[Part, str], bool],
    settle: Callable[[list[Part], MixedTypesError], pa.DataType],
) -> Blocks:
    """The rows of all parts, one below the other.

    Args:
        parts: their columns have types but no rows: null where a column has no value.
        columns: names of those that are read; others may be there or not.
        read: reads a part.
        is_known: whether a part has a value in a column; asked where types differ.
        settle: the type of a column of types that do not go together, or an InputError.

    Raises:
        InputError: a file with other columns; while they are read, files without a row.
    """
    joining.add_partitions(parts)
    joining.check_names(parts)
    names = tuple(parts[0].columns.column_names)
    types = {}
    for name in (name for name in names if name in columns):
        try:
            types[name] = joining.common_type(parts, name, is_known)
        except MixedTypesError as mixed:
            types[name] = settle(parts, mixed)

    def pieces() -> Iterator[pa.Table]:
        count = 0
        for part in parts:
            for table in read(part, types):
                count += len(table)
                yield _completed(table, part, types)
        if not count:
            raise joining.no_rows("path", parts)

    return Blocks(names, pieces)


def _completed(table: pa.Table, part: Part, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Some rows of a part with the columns that its folders make, and each column in its type."""
    import pyarrow as pa

    folders, columns = dict(part.file.partitions), {}
    for name, kind in types.items():
        if name in folders:
            column = pa.chunked_array([pa.repeat(pa.scalar(folders[name]), len(table)).cast(kind)])
        else:
            column = joining.in_type(plain_column(table.column(name)), kind)
        columns[name] = plain_column(column)
    return pa.table(columns)
