"""Data frames in memory -> a table: of pandas, polars or pyarrow, and dictionaries of arrays."""

from __future__ import annotations

import datetime
import decimal
import numbers
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from tf_logreg.errors import InputError, brief
from tf_logreg.names import describe
from tf_logreg.tables.table import Table, plain, plain_column, require_arrow

if TYPE_CHECKING:
    import pyarrow as pa


def is_frame(data: object) -> bool:
    """Whether `table_of` takes it: a DataFrame of any library, a table of pyarrow, or a dict of columns."""
    if scipy.sparse.issparse(data):  # of its formats DOK is a dict
        return False
    if isinstance(data, Mapping) or _is_pandas(data):
        return True
    # What has no columns by name, an array or a series of polars for one, has the first or the second alone.
    exports = hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")
    return exports and (hasattr(data, "column_names") or hasattr(data, "columns") or hasattr(data, "schema"))


def table_of(frame: Any, argument: str = "X") -> Table:
    """A table of the columns of a frame.

    Args:
        frame: n rows as a pandas or polars DataFrame, a pyarrow Table or RecordBatch, anything else with
            `__arrow_c_stream__`, or a dict of arrays or lists [n]. An index counts for nothing.
        argument: its name, for messages.

    Returns:
        Table, in plain types: categories are texts or numbers, times with a time zone are in UTC, and None,
        NaN, NaT and NA are null.

    Raises:
        InputError: another object, names of columns that are equal or no text, columns of several lengths,
            or values of several types in a column, with the row, counted from 0.
    """
    require_arrow(argument)
    if isinstance(frame, Mapping):
        columns = _of_mapping(frame, argument)
    elif _is_pandas(frame):
        columns = _of_pandas(frame, argument)
    else:
        columns = _of_arrow(frame, argument)
    rows = columns.num_rows
    return Table(columns, {"train": range(rows)}, lambda row: f"row {row} of {argument}, counted from 0")


def _is_pandas(data: object) -> bool:
    """Whether it is a DataFrame of pandas, which is not imported to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, getattr(pandas, "DataFrame", ()))


def _of_arrow(frame: Any, argument: str) -> pa.Table:
    """Columns of what gives them to Arrow."""
    import pyarrow as pa

    if not is_frame(frame):
        raise InputError(
            f"{argument}: expected a DataFrame, a table of pyarrow or a dict of columns. Received: "
            f"{type(frame).__name__}."
        )
    try:
        if isinstance(frame, pa.RecordBatch):
            frame = pa.table(frame)
        elif not isinstance(frame, pa.Table):
            # As polars says it: its own protocol copies nothing, but its texts are of a type that older
            # versions of pyarrow do not have.
            frame = frame.to_arrow() if hasattr(frame, "to_arrow") else pa.table(frame)
        _check_names(frame.column_names, argument)
        frame.validate(full=True)
        return plain(frame)
    except InputError:
        raise
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{argument}: expected columns that Arrow can read. Received: {type(frame).__name__}: "
            f"{brief(error)}."
        ) from None


def _of_pandas(frame: Any, argument: str) -> pa.Table:
    """Columns of pandas, in whichever of its types they are."""
    import pyarrow as pa

    names = _check_names(list(frame.columns), argument)
    columns = []
    for at, name in enumerate(names):
        columns.append(_column(frame.iloc[:, at], name, argument))
    if not columns:
        raise InputError(f"{argument}: expected columns. Received: none.")
    return pa.table(columns, names=names)


def _of_mapping(frame: Mapping, argument: str) -> pa.Table:
    """Columns of a dict."""
    import pyarrow as pa

    names = _check_names(list(frame), argument)
    if not names:
        raise InputError(f"{argument}: expected columns. Received: none.")
    columns = []
    for name, values in zip(names, frame.values(), strict=True):
        if not isinstance(values, pa.Array | pa.ChunkedArray | list | tuple | np.ndarray) and not hasattr(
            values, "__array__"
        ):
            raise InputError(
                f"{argument}: expected an array or a list as column {name!r}. Received: "
                f"{type(values).__name__}."
            )
        columns.append(_column(values, name, argument))
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        other = next(at for at, column in enumerate(columns) if len(column) != len(columns[0]))
        raise InputError(
            f"{argument}: expected columns of one length. Received: {len(columns[0])} rows of {names[0]!r} "
            f"and {len(columns[other])} of {names[other]!r}."
        )
    return pa.table(columns, names=names)


def _check_names(names: list, argument: str) -> list[str]:
    """Names as text, numbers too; InputError where two are equal or one is something else."""
    for name in names:
        if not isinstance(name, str | int | np.integer) or isinstance(name, bool):
            raise InputError(f"{argument}: expected names of columns that are text. Received: {name!r}.")
    texts = [str(name) for name in names]
    twice = sorted({name for name in texts if texts.count(name) > 1}) if len(set(texts)) < len(texts) else []
    if twice:
        raise InputError(
            f"{argument}: expected distinct names of columns. Received: {describe(twice, 5)} twice."
        )
    return texts


def _column(values: Any, name: str, argument: str) -> pa.ChunkedArray:
    """A column in its plain type."""
    import pyarrow as pa

    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = _array(values, name, argument)
        try:
            column = pa.array(values, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            _refuse_objects(values, name, argument)
            raise InputError(
                f"{argument}: expected a column of numbers, text, times or truth values. Received: {name!r}, "
                f"which Arrow cannot read: {brief(error, 150)}."
            ) from None
        # Text and bytes together are bytes to Arrow, and times and numbers are times.
        is_odd = pa.types.is_binary(column.type) or pa.types.is_temporal(column.type)
        if is_odd and getattr(getattr(values, "dtype", None), "kind", "O") == "O":
            _refuse_objects(values, name, argument)
        values = column
    try:
        values = pa.chunked_array([values]) if isinstance(values, pa.Array) else values
        values.validate(full=True)
        return plain_column(values)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{argument}: cannot read column {name!r}: {brief(error, 150)}.") from None


def _array(values: Any, name: str, argument: str) -> Any:
    """The values as Arrow takes them: a list, a series of pandas or an array [n] of NumPy."""
    if isinstance(values, list | tuple):
        return values
    if hasattr(values, "iloc"):
        kind = type(values.dtype).__name__
        if kind == "SparseDtype":
            return values.sparse.to_dense()
        if kind == "PeriodDtype":  # Arrow would have numbers of months or days
            return values.dt.to_timestamp()
        return values
    values = values if isinstance(values, np.ndarray) else np.asarray(values)
    if values.ndim != 1:
        raise InputError(
            f"{argument}: expected shape [n] of column {name!r}. Received: shape {list(values.shape)}."
        )
    if values.dtype.kind not in "biufMUSO":
        raise InputError(
            f"{argument}: expected numbers, text or times in column {name!r}. Received: dtype {values.dtype}."
        )
    if isinstance(values, np.ma.MaskedArray):
        objects = values.data.astype(object)
        objects[np.ma.getmaskarray(values)] = None
        return objects
    if values.dtype.kind == "S":
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{argument}: expected text in UTF-8 in column {name!r}. Received: {error.object[:50]!r}."
            ) from None
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _refuse_objects(values: Any, name: str, argument: str) -> None:
    """InputError at the first value of another kind than those before, or of a text that is no Unicode."""
    first, first_row = None, 0
    for row, value in enumerate(values):
        kind = _kind(value)
        if kind is None:
            continue
        if first is None:
            first, first_row = kind, row
        shown = f"{kind} ({brief(ascii(value), 50)}) in row {row}"
        if kind != first:
            raise InputError(
                f"{argument}: expected values of one kind in column {name!r}. Received: {first} in row "
                f"{first_row} and {shown}, counted from 0."
            )
        if kind == "text" and not _is_unicode(value):
            raise InputError(
                f"{argument}: expected Unicode text in column {name!r}. Received: {shown}, counted from 0."
            )


def _kind(value: object) -> str | None:
    """What a value is, for messages; None where it is missing."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | np.bool_):
        return "a truth value"
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, numbers.Number | np.number | decimal.Decimal):
        return "a number" if value == value else None
    if isinstance(value, datetime.date | np.datetime64):
        return "a time"
    return type(value).__name__


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
