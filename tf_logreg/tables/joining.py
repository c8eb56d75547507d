"""The parts of a table, one a file, as one: with the same columns, in the same types.

Whole numbers and other numbers become float64. Where one file has numbers and another words, the column is
words if the other file has nothing else, and an error if only some of its values are words.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tf_logreg.errors import InputError
from tf_logreg.names import describe
from tf_logreg.tables.paths import File
from tf_logreg.tables.table import Table, plain_column

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Part:
    """The rows of a file.

    columns: pyarrow.Table, in plain types or null.
    skipped: numbers of rows that were left out, counted from 1, in ascending order.
    before: number of rows of the file before these.
    """

    file: File
    columns: pa.Table
    skipped: Sequence[int] = ()
    before: int = 0

    def place(self, row: int) -> str:
        """'row 17 of adult.csv' of its row 16."""
        number = self.before + row + 1
        for skipped in self.skipped:
            number += skipped <= number
        return f"row {number} of {self.file.path}"

    def replace(self, name: str, column: pa.ChunkedArray) -> None:
        """Puts another column in place of the one of this name."""
        self.columns = self.columns.set_column(self.columns.column_names.index(name), name, column)


class MixedTypesError(Exception):
    """Types of a column that do not go together: `kinds` has the first part of each, by type."""

    def __init__(self, name: str, kinds: Mapping[pa.DataType, Part]):
        super().__init__(name)
        self.name, self.kinds = name, kinds


def join(
    splits: Mapping[str, Sequence[Part]], settle: Callable[[list[Part], MixedTypesError], None]
) -> Table:
    """All parts below each other.

    Args:
        splits: the parts of each split, in order; their columns may stand in any order.
        settle: gives a column of other types in some parts one type, or raises an InputError.

    Raises:
        InputError: a file with other columns, or a split without a row.
    """
    import pyarrow as pa

    parts = [part for some in splits.values() for part in some]
    add_partitions(parts)
    check_names(parts)
    names = parts[0].columns.column_names
    columns = []
    for name in names:
        try:
            kind = common_type(parts, name, _is_known)
        except MixedTypesError as mixed:
            settle(parts, mixed)
            kind = common_type(parts, name, _is_known)
        chunks = [chunk for part in parts for chunk in in_type(part.columns.column(name), kind).chunks]
        columns.append(plain_column(pa.chunked_array(chunks, type=kind)))
    starts = [0, *itertools.accumulate(part.columns.num_rows for part in parts)]

    def place(row: int) -> str:
        at = bisect.bisect(starts, row) - 1
        return parts[at].place(row - starts[at])

    return Table(pa.table(columns, names=names), _ranges(splits), place)


def refuse_mixed(parts: list[Part], mixed: MixedTypesError) -> None:
    """InputError that names a file of each type."""
    told = " and ".join(f"{kind} in {part.file.path!r}" for kind, part in mixed.kinds.items())
    raise InputError(
        f"data.args.path: expected column {mixed.name!r} to have one type in all files. Received: {told}."
    )


def _ranges(splits: Mapping[str, Sequence[Part]]) -> dict[str, range]:
    """The rows of each split."""
    found, start = {}, 0
    for split, parts in splits.items():
        stop = start + sum(part.columns.num_rows for part in parts)
        if start == stop:
            raise no_rows("path" if split == "train" else f"{split}_path", parts)
        found[split], start = range(start, stop), stop
    return found


def no_rows(field: str, parts: Sequence[Part]) -> InputError:
    """Files without a row, as an argument names them."""
    files = describe((part.file.path for part in parts), 5)
    return InputError(f"data.args.{field}: expected rows. Received: none in {files}.")


def check_names(parts: list[Part]) -> None:
    """InputError where a file has other columns than the first."""
    names = parts[0].columns.column_names
    for part in parts[1:]:
        others = part.columns.column_names
        lacks = [name for name in names if name not in set(others)]
        more = [name for name in others if name not in set(names)]
        if lacks or more:
            told = [f"it lacks {describe(lacks, 5)}"] * bool(lacks) + [
                f"it has {describe(more, 5)} more"
            ] * bool(more)
            raise InputError(
                f"data.args.path: expected {part.file.path!r} to have the columns of "
                f"{parts[0].file.path!r}. Received: {' and '.join(told)}."
            )


def add_partitions(parts: list[Part]) -> None:
    """Adds a column for each folder 'name=value': int64 if all its values are, else string."""
    import pyarrow as pa

    values: dict[str, set[str]] = {}
    for part in parts:
        for name, value in part.file.partitions:
            values.setdefault(name, set()).update({value} - {None})
    whole = {
        name for name, some in values.items() if some and all(map(_is_whole, some))
    }  # '01' of a month is a word: it would be 1
    for part in parts:
        for name, value in part.file.partitions:
            if name in part.columns.column_names:
                raise InputError(
                    f"data.args.path: expected each column once. Received: {name!r} both in the file and in "
                    f"the folders of {part.file.path!r}."
                )
            kind = pa.int64() if name in whole else pa.string()
            value = int(value) if value is not None and name in whole else value
            column = pa.repeat(pa.scalar(value, kind), part.columns.num_rows)
            part.columns = part.columns.append_column(name, column)


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19 and (text == "0" or text[0] != "0")


def _is_known(part: Part, name: str) -> bool:
    """Whether some row has a value in a column."""
    column = part.columns.column(name)
    return column.null_count < len(column)


def common_type(parts: list[Part], name: str, is_known: Callable[[Part, str], bool]) -> pa.DataType:
    """The type of a column for all parts; where it has no value (`is_known`) it goes with any.

    Raises:
        MixedTypesError: types that do not go together.
    """
    import pyarrow as pa

    types = [part.columns.schema.field(name).type for part in parts]
    typed = [kind for kind in types if kind != pa.null()]
    if len(set(typed)) <= 1:  # a column of words that are all missing stays one of words
        return typed[0] if typed else pa.null()
    kinds: dict[pa.DataType, Part] = {}
    for part, kind in zip(parts, types, strict=True):
        if kind != pa.null() and is_known(part, name):
            kinds.setdefault(kind, part)
    if not kinds:
        return typed[0]
    if set(kinds) == {pa.int64(), pa.float64()}:
        return pa.float64()
    if len(kinds) > 1:
        raise MixedTypesError(name, kinds)
    return next(iter(kinds))


def in_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column in the type from `common_type`."""
    import pyarrow as pa

    if column.type == kind:
        return column
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    return column.cast(kind, safe=False)
