"""Rows of a table -> features, by a schema: a dense array, or CSR where most features of a row are zero."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse

from tf_logreg import machine, names
from tf_logreg.errors import InputError
from tf_logreg.names import describe
from tf_logreg.tables import dates, kinds
from tf_logreg.tables.schema import Column, Cross, Schema
from tf_logreg.tables.table import dictionary

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_ROWS = 2**17
_MICROSECONDS_A_DAY = 86_400 * 10**6
_SMALL = 2**26  # bytes of an array below which it does not matter how many of its numbers are zero
_DENSE = 0.25  # share of numbers that are not zero, from which an array is smaller and faster than CSR
_WORDS_OF_TEXT = 20  # features that a row has of a text, about


def encode(
    schema: Schema, table: pa.Table, *, sparse: bool | None = None
) -> np.ndarray | scipy.sparse.csr_array:
    """Features of all rows.

    Args:
        schema: what each column becomes.
        table: has the schema's used columns, in any order; others are not looked at.
        sparse: as CSR instead of an array; None to choose what is smaller, an array where it is small.

    Returns:
        [n, p], float32 where that holds every number exactly, else float64. It has no NaN.

    Raises:
        InputError: a column is missing, or its values are of another type than in training.
    """
    check_columns(schema, table.column_names)
    sparse = _is_sparse(schema, len(table)) if sparse is None else sparse
    starts = range(0, max(len(table), 1), _BLOCK_ROWS)
    blocks = list(
        machine.in_parallel(
            lambda start: _block(schema, table.slice(start, _BLOCK_ROWS), sparse=sparse), starts
        )
    )
    if len(blocks) == 1:
        return blocks[0]
    dtype = max((block.dtype for block in blocks), key=lambda dtype: dtype.itemsize)
    if sparse:
        return scipy.sparse.vstack([block.astype(dtype, copy=False) for block in blocks], format="csr")
    found = np.empty((len(table), len(schema.feature_names)), dtype)
    for k, block in enumerate(blocks):
        found[k * _BLOCK_ROWS :][: len(block)] = block
        blocks[k] = None
    return found


def _is_sparse(schema: Schema, num_rows: int) -> bool:
    """Whether an array of the features would be large and mostly zero."""
    given = sum(bool(part.features) for part in (*schema.columns, *schema.crosses))
    given += _WORDS_OF_TEXT * sum(isinstance(column.kind, kinds.Text) for column in schema.columns)
    count = len(schema.feature_names)
    return 4 * num_rows * count > _SMALL and given < _DENSE * count


def check_columns(schema: Schema, there: Sequence[str]) -> None:
    """InputError where a used column is not there, with the names that are like it."""
    for column in schema.used:
        if column.name not in there:
            near = describe(names.near(column.name, there))
            raise InputError(
                f"data: expected the column {column.name!r}, which the model uses. Received: "
                f"{len(there)} columns without it{near and ', but ' + near}."
            )


def _block(schema: Schema, table: pa.Table, *, sparse: bool) -> np.ndarray | scipy.sparse.csr_array:
    """`encode` of some rows."""
    read = functools.cache(lambda name: words_of(table, schema.column(name)))
    offset, parts, ragged = 0, [], []
    for piece in (*schema.columns, *schema.crosses):
        for part in _parts(piece, table, read):
            (ragged if isinstance(part, kinds.Ragged) else parts).append((offset, part))
        offset += len(piece.features)
    numbers = [part.value for _, part in parts if part.value is not None]
    with np.errstate(over="ignore"):  # beyond float32 a number becomes infinite, so another
        dtype = np.float32 if all((x.astype(np.float32) == x).all() for x in numbers) else np.float64
    shape = len(table), offset
    if sparse:
        return _csr(parts, ragged, shape, dtype)
    found = np.zeros(shape, dtype)
    for start, part in parts:
        rows = np.flatnonzero(part.place >= 0)
        found[rows, start + part.place[rows]] = 1 if part.value is None else part.value[rows]
    for start, part in ragged:
        rows = np.repeat(np.arange(len(table)), np.diff(part.indptr))
        np.add.at(found, (rows, start + part.place), part.value)
    return found


def _parts(piece: Column | Cross, table: pa.Table, words: Callable) -> list[kinds.Part | kinds.Ragged]:
    """Features of one column or cross."""
    if isinstance(piece, Cross):
        return piece.kind.encode(crossed(*(words(name) for name in piece.columns)))
    if piece.kind.takes == "nothing":
        return []
    return piece.kind.encode(words(piece.name) if piece.kind.takes == "words" else numbers_of(table, piece))


def _csr(parts: list, ragged: list, shape: tuple[int, int], dtype: type) -> scipy.sparse.csr_array:
    """CSR [n, p] of parts, which are in the order of their features."""
    has = [part.place >= 0 for _, part in parts]
    indptr = np.zeros(shape[0] + 1, np.int32)
    for one in has:
        indptr[1:] += one
    np.cumsum(indptr, out=indptr)
    place, value, at = np.empty(indptr[-1], np.int32), np.ones(indptr[-1], dtype), indptr[:-1].copy()
    for one, (start, part) in zip(has, parts, strict=True):
        rows = slice(None) if one.all() else np.flatnonzero(one)
        place[at[rows]] = start + part.place[rows]
        if part.value is not None:
            value[at[rows]] = part.value[rows]
        at[rows] += 1
    found = scipy.sparse.csr_array((value, place, indptr), shape=shape)
    for start, part in ragged:
        found = found + scipy.sparse.csr_array(
            (part.value.astype(dtype), (start + part.place).astype(np.int32), part.indptr.astype(np.int32)),
            shape=shape,
        )
    found.sum_duplicates()
    return found


def crossed(first: kinds.Words, second: kinds.Words) -> kinds.Words:
    """Pairs of words; a missing word is '', and the pair is never missing."""
    count = len(second.words) + 1
    pair = (first.code.astype(np.int64) + 1) * count + second.code + 1
    distinct, code = np.unique(pair, return_inverse=True)
    a, b = ("", *first.words), ("", *second.words)
    return kinds.Words(
        code.astype(np.int32), tuple(f"{a[k // count]}{kinds.JOINT}{b[k % count]}" for k in distinct.tolist())
    )


def numbers_of(table: pa.Table, column: Column) -> np.ndarray:
    """The numbers of a column [n] float64: days since 1970 of dates; NaN where missing.

    Raises:
        InputError: its values are words, or of another type than in training.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = table[column.name]
    if array.null_count == len(array):
        return np.full(len(array), np.nan)
    if column.type == "date":
        array = _times(column, array)
        if not pa.types.is_timestamp(array.type):
            _refuse(column, array.type, "dates")
        # As whole numbers, microseconds from 1684 to 2255 are exact in float64.
        return _plain(pc.cast(array, pa.int64())) / _MICROSECONDS_A_DAY
    if pa.types.is_timestamp(array.type) or not (
        pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)
    ):
        _refuse(column, array.type, "numbers")
    return _plain(array)


def _times(column: Column, array: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of a column of dates, which a frame may have as texts."""
    import pyarrow as pa

    if not pa.types.is_string(array.type):
        return array
    times = dates.of_texts(array)
    if times is None and (other := dates.first_other(array)):
        raise InputError(
            f"data: expected dates in column {column.name!r}, as in training. Received: {other[:50]!r}."
        )
    return array if times is None else times


def _plain(array: pa.ChunkedArray) -> np.ndarray:
    """float64 [n], NaN where null or not finite."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(array.type):
        array = pc.cast(array, pa.float64(), safe=False)
    found = np.array(array.to_numpy(), np.float64)  # null is NaN
    found[np.isinf(found)] = np.nan
    return found


def words_of(table: pa.Table, column: Column) -> kinds.Words:
    """The words of a column; whole numbers and booleans as text.

    Raises:
        InputError: its values have no text, or other numbers than whole ones.
    """
    import pyarrow as pa

    array = table[column.name]
    if array.null_count == len(array):
        return kinds.Words(np.full(len(array), -1, np.int32), ())
    if pa.types.is_floating(array.type):
        array = _whole(column, array)
    if not (
        pa.types.is_string(array.type) or pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)
    ):
        _refuse(column, array.type, "words")
    code, words = dictionary(array)
    if "" in words:  # as the served model, which has no other way to say it
        code[code == words.index("")] = -1
    return kinds.Words(code, _spelled(column, array.type, tuple(words)))


def missing_of(table: pa.Table, column: Column) -> np.ndarray:
    """Rows without a value of a used column, as its features see it: bool [n].

    Raises:
        InputError: as `numbers_of` and `words_of`.
    """
    if column.kind.takes == "numbers":
        return np.isnan(numbers_of(table, column))
    return words_of(table, column).code < 0


def _spelled(column: Column, came: pa.DataType, words: tuple[str, ...]) -> tuple[str, ...]:
    """Truth values as training spelled them: 'True' is a word in a CSV file, a boolean in a frame."""
    import pyarrow as pa

    if column.type == "word" and pa.types.is_boolean(came):
        known = (*getattr(column.kind, "levels", ()), *column.seen.frequent)
        spelling = {word.lower(): word for word in reversed(known)}  # the most frequent spelling
        return tuple(spelling.get(word, word) for word in words)
    if column.type == "integer" and pa.types.is_boolean(came):
        return tuple({"true": "1", "false": "0"}.get(word, word) for word in words)
    if column.type == "boolean" and pa.types.is_integer(came):
        return tuple({"1": "true", "0": "false"}.get(word, word) for word in words)
    if column.type == "boolean" and pa.types.is_string(came):
        return tuple(word.lower() if word.lower() in ("true", "false") else word for word in words)
    return words


def _whole(column: Column, array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers that were read as floats, as integers."""
    import pyarrow as pa

    numbers = array.to_numpy()
    odd = np.flatnonzero(~np.isnan(numbers) & ((numbers != np.floor(numbers)) | (np.abs(numbers) > 2**53)))
    if odd.size:
        raise InputError(
            f"data.columns: expected words or whole numbers in column {column.name!r}, as it is "
            f"{kinds.name_of(column.kind)}. Received: {numbers[odd[0]]} in row {odd[0] + 1}. "
            "'bucketized:10' makes levels of numbers."
        )
    return pa.chunked_array([pa.array(np.nan_to_num(numbers).astype(np.int64), mask=np.isnan(numbers))])


def _refuse(column: Column, came: pa.DataType, expected: str) -> None:
    raise InputError(
        f"data: expected {expected} in column {column.name!r}, as in training ({column.type}). "
        f"Received: {came}."
    )
