"""CSV files -> a table.

The types that Arrow finds in whole columns are checked: words in a column of numbers, whole numbers with
leading zeros. `csv_blocks.py` reads the same rows bit by bit.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from tf_logreg.errors import InputError
from tf_logreg.names import describe
from tf_logreg.tables import csv_types, joining
from tf_logreg.tables.csv_form import Form, Layout, layout, say_guesses
from tf_logreg.tables.csv_reader import Reader
from tf_logreg.tables.joining import Part
from tf_logreg.tables.paths import files_of_splits
from tf_logreg.tables.table import Table, plain, require_arrow

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

ENDINGS = tuple(name + packed for name in (".csv", ".tsv") for packed in ("", ".gz", ".zst"))


def read(path: str, validation_path: str, test_path: str, form: Form) -> Table:
    """Reads files of all splits; the arguments are those of the source `csv`.

    Raises:
        InputError: with file, row and column where there is one.
    """
    require_arrow("data.source")
    files = files_of_splits(path, validation_path, test_path, ENDINGS)
    layouts = {file.path: layout(file.path, form) for some in files.values() for file in some}
    say_guesses(list(layouts.values()), form)
    check_forced(form, list(layouts.values()))
    splits = {
        split: [_part(Reader(file, layouts[file.path], form)) for file in some]
        for split, some in files.items()
    }
    say_skipped([part for some in splits.values() for part in some], form)

    def reader(part: Part) -> Reader:
        return Reader(part.file, layouts[part.file.path], form)

    def spelled(name: str) -> pa.ChunkedArray:
        import pyarrow as pa

        some = [reader(part).words(name) for parts in splits.values() for part in parts]
        return pa.chunked_array([chunk for words in some for chunk in words.chunks], type=pa.string())

    table = joining.join(splits, lambda parts, mixed: csv_types.settle(parts, mixed, reader))
    return dataclasses.replace(table, spelled=spelled)


def check_forced(form: Form, layouts: list[Layout]) -> None:
    """InputError where a type is forced on a column that no file has."""
    known = {name for one in layouts for name in one.names}
    for name in form.forced():
        if name not in known:
            raise InputError(
                f"data.args.types: expected a column of the files. Received: {name!r}; "
                f"{layouts[0].path!r} has {describe(layouts[0].names)}."
            )


def _part(reader: Reader) -> Part:
    """The rows of a file, each column in its type."""
    forced = reader.forced
    table = reader.table(forced)
    reader.refuse_bytes(table)
    part = reader.part(table)
    if again := _to_read_again(reader, table, set(forced)):
        _as_words(reader, part, again)
    for name in table.column_names:
        if name not in forced and csv_types.is_words(part.columns.column(name)):
            csv_types.refuse_stray_words(part, name, reader.layout.decimal)
    part.columns = plain(part.columns, but_null=True)
    return part


def _to_read_again(reader: Reader, table: pa.Table, forced: set[str]) -> list[str]:
    """Columns that Arrow reads otherwise than this program: times of day, and maybe whole numbers."""
    import pyarrow as pa

    free = [field for field in table.schema if field.name not in forced]
    times = [field.name for field in free if pa.types.is_time(field.type)]
    whole = [field.name for field in free if field.type == pa.int64()]
    return times + whole if whole and reader.has_leading_zeros() else times


def _as_words(reader: Reader, part: Part, names: list[str]) -> None:
    """Puts columns as words where their values are: times of day, numbers with leading zeros."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = reader.table({name: pa.string() for name in names}, only=names)
    for name in names:
        column = words.column(name)
        if part.columns.column(name).type == pa.int64():
            zeros = csv_types.leading_zeros(column)
            if not pc.any(zeros).as_py():
                continue
            row = pc.index(zeros, True).as_py()
            log.info(
                "Column %r has whole numbers with leading zeros, %r in %s: they are read as words. "
                "data.args.types=('%s:int64',) makes them numbers.",
                name, column[row].as_py(), part.place(row), name,
            )  # fmt: skip
        part.replace(name, column)


def say_skipped(parts: list[Part], form: Form) -> None:
    """Says how many rows were left out, and names the first ten."""
    count = sum(len(part.skipped) for part in parts)
    if not count:
        return
    some = [f"row {number} of {part.file.path}" for part in parts for number in part.skipped[:10]]
    say = log.warning if form.on_bad_lines == "warn" else log.info
    say(
        "%d rows with another number of fields were left out: %s%s.",
        count, ", ".join(some[:10]), ", ..." if count > 10 else "",
    )  # fmt: skip
