"""`Table`, named columns of rows in memory, in the few plain types that the rest of the program knows."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg.errors import InputError

if TYPE_CHECKING:  # an optional package, and importing it takes 0.2 s
    import pyarrow as pa


def _place(row: int) -> str:
    return f"row {row} of the table, counted from 0"


@dataclasses.dataclass(frozen=True)
class Table:
    """Named columns of n rows in memory.

    Attributes:
        columns: pyarrow.Table of n rows with distinct names. The types are bool, int64, float64, string
            and timestamp('us') without a time zone (dates too; times with a zone are in UTC). A column of
            another type, a list for one, keeps it: nothing but to ignore it is possible. Missing values
            are null; no float is NaN.
        splits: named ranges of rows, 'train' and those that have files of their own.
        place: row id -> its location, for messages: 'row 17 of adult.csv'. Rows of a file are counted from
            1, and neither the header nor empty lines count; rows of a frame are counted from 0.
        spelled: name -> the column as its file spells it, string; None where values have types of their own.
    """

    columns: pa.Table
    splits: Mapping[str, range]
    place: Callable[[int], str] = _place
    spelled: Callable[[str], pa.ChunkedArray] | None = None

    def with_words(self, names: Iterable[str]) -> Table:
        """The same rows with some columns, as far as they are here, as words.

        A CSV file of codes such as '1E5' or '1.10' may look like one of numbers, where training had words.
        """
        if self.spelled is None:
            return self
        columns = self.columns
        for at, field in enumerate(self.columns.schema):
            if field.name in set(names) and field.type != "string" and columns[at].null_count < len(columns):
                columns = columns.set_column(at, field.name, self.spelled(field.name))
        return dataclasses.replace(self, columns=columns)


def require_arrow(argument: str) -> None:
    """Raises an InputError where pyarrow, which reads all tables, is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            f"{argument}: expected the package pyarrow, which reads tables. Received: it is not installed; "
            "install it with pip install 'tf_logreg[tables]' or pip install pyarrow."
        )


def dictionary(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """The place of each value among the distinct ones, int32 [n], -1 where missing; and these, as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.dictionary_encode(column.combine_chunks())
    if isinstance(found, pa.ChunkedArray):  # of a column without rows
        found = found.combine_chunks()
    place = pc.fill_null(found.indices, -1).to_numpy().astype(np.int32)
    return place, pc.cast(found.dictionary, pa.string()).to_pylist()


def plain(table: pa.Table, *, but_null: bool = False) -> pa.Table:
    """The same columns in plain types, with null in place of NaN.

    Whole numbers of any width become int64 (float64 if one is beyond it), other numbers float64, dates and
    times timestamp('us') in UTC, texts and categories of texts string, and a column of nulls float64; or with
    `but_null` that stays as it is, for what other files have there.

    Raises:
        pyarrow.ArrowException: a value that is not what its type says, such as text that is not UTF-8.
    """
    import pyarrow as pa

    columns = [
        column if but_null and pa.types.is_null(column.type) else plain_column(column)
        for column in table.itercolumns()
    ]
    return pa.table(columns, names=table.column_names)


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as `plain` has it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([one.storage for one in column.chunks], type=column.type.storage_type)
    if pa.types.is_dictionary(column.type):
        values = column.type.value_type
        column = pa.chunked_array([one.dictionary_decode() for one in column.chunks], type=values)
    kind = column.type
    to = plain_type(kind)
    if to == pa.int64() and kind == pa.uint64() and (pc.max(column).as_py() or 0) >= 2**63:
        to = pa.float64()
    if to != kind:
        column = _cast(column, to)
    if to == pa.float64():
        nan = pc.is_nan(column)
        if pc.any(nan).as_py():
            column = pc.if_else(nan, pa.scalar(None, to), column)
    return column


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The plain type of a column of this type; a type that has none stays."""
    import pyarrow as pa

    types = pa.types
    if types.is_integer(kind):
        return pa.int64()
    if types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
        return pa.float64()
    if types.is_date(kind) or types.is_timestamp(kind):
        return pa.timestamp("us")
    if types.is_string(kind) or types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    return kind


def _cast(column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """The column in a plain type: nanoseconds and digits beyond it are cut off."""
    import pyarrow as pa

    chunks = []
    for chunk in column.chunks:
        if pa.types.is_timestamp(chunk.type) and chunk.type.tz:
            chunk = chunk.cast(pa.timestamp(chunk.type.unit, "UTC")).cast(pa.timestamp(chunk.type.unit))
        if pa.types.is_large_string(chunk.type) and len(chunk) > 1 and chunk.nbytes >= 2**31:
            half = len(chunk) // 2  # offsets of 32 bits: no chunk holds more
            chunks += _cast(pa.chunked_array([chunk[:half], chunk[half:]]), to).chunks
            continue
        chunks.append(chunk.cast(to, safe=pa.types.is_date(chunk.type)))
    return pa.chunked_array(chunks, type=to)
