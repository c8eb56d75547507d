"""CSV files -> a table.

Arrow reads a file with all cores and finds each column's type. What it would let pass is checked: a
word in a column of numbers, whole numbers with leading zeros, rows of other lengths, a quote that is never
closed. Only when something is wrong is a file read again to find the row.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from tf_logreg.errors import InputError
from tf_logreg.names import describe
from tf_logreg.tables import csv_faults, csv_stream, csv_types, joining
from tf_logreg.tables.csv_form import MISSING, MOST_ROW, Form, Layout, layout, say_guesses
from tf_logreg.tables.joining import Part
from tf_logreg.tables.paths import File, files_of_splits
from tf_logreg.tables.table import Table, plain, require_arrow

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

ENDINGS = tuple(name + packed for name in (".csv", ".tsv") for packed in ("", ".gz", ".zst"))
_BLOCK = 2**21  # bytes that one core works on at a time
_LEADING_ZERO = r"^[ \t]*0\d"


def read(path: str, validation_path: str, test_path: str, form: Form) -> Table:
    """Reads files of all splits; the arguments are those of the source `csv`.

    Raises:
        InputError: with file, row and column where there is one.
    """
    require_arrow("data.source")
    files = files_of_splits(path, validation_path, test_path, ENDINGS)
    layouts = {file.path: layout(file.path, form) for some in files.values() for file in some}
    say_guesses(list(layouts.values()), form)
    _check_forced(form, list(layouts.values()))
    splits = {
        split: [_Reader(file, layouts[file.path], form).part() for file in some]
        for split, some in files.items()
    }
    _say_skipped([part for some in splits.values() for part in some], form)

    def reader(part: Part) -> _Reader:
        return _Reader(part.file, layouts[part.file.path], form)

    def spelled(name: str) -> pa.ChunkedArray:
        import pyarrow as pa

        some = [reader(part).words(name) for parts in splits.values() for part in parts]
        return pa.chunked_array([chunk for words in some for chunk in words.chunks], type=pa.string())

    table = joining.join(splits, lambda parts, mixed: csv_types.settle(parts, mixed, reader))
    return dataclasses.replace(table, spelled=spelled)


def _check_forced(form: Form, layouts: list[Layout]) -> None:
    """InputError where a type is forced on a column that no file has."""
    known = {name for one in layouts for name in one.names}
    for name in form.forced():
        if name not in known:
            raise InputError(
                f"data.args.types: expected a column of the files. Received: {name!r}; "
                f"{layouts[0].path!r} has {describe(layouts[0].names)}."
            )


@dataclasses.dataclass
class _Bad:
    """A row with another number of fields: its number among the rows of the file, from 1, and its text."""

    number: int
    expected: int
    actual: int
    text: str


@dataclasses.dataclass
class _Reader:
    """Reads one file, once or more often."""

    file: File
    layout: Layout
    form: Form
    bad: list[_Bad] = dataclasses.field(default_factory=list)
    _text: pa.Buffer | None = None
    _quotes: int = 0

    def part(self) -> Part:
        """The rows, each column in its type."""
        forced = {name: kind for name, kind in self.form.forced().items() if name in self.layout.names}
        table = self.table({name: _arrow_type(kind) for name, kind in forced.items()})
        part = Part(self.file, table, [one.number for one in self.bad])
        self._refuse_bytes(part)
        again = self._to_read_again(table, set(forced))
        if again:
            self._as_words(part, again)
        for name in table.column_names:
            if name not in forced and csv_types.is_words(part.columns.column(name)):
                csv_types.refuse_stray_words(part, name, self.layout.decimal)
        part.columns = plain(part.columns, but_null=True)
        return part

    def _to_read_again(self, table: pa.Table, forced: set[str]) -> list[str]:
        """Columns that Arrow reads otherwise than this program: times of day, and maybe whole numbers."""
        import pyarrow as pa

        free = [field for field in table.schema if field.name not in forced]
        times = [field.name for field in free if pa.types.is_time(field.type)]
        whole = [field.name for field in free if field.type == pa.int64()]
        if whole and csv_stream.has_leading_zeros(self._text, self.layout.separator, self.layout.quote):
            return times + whole
        return times

    def words(self, name: str) -> pa.ChunkedArray:
        """A column as the file spells it."""
        import pyarrow as pa

        return self.table({name: pa.string()}, only=[name]).column(name)

    def table(self, types: dict[str, pa.DataType], only: list[str] | None = None) -> pa.Table:
        """What Arrow reads.

        types: of columns; Arrow finds those of others.
        only: names of the columns that are read; None for all.
        """
        import pyarrow as pa

        if self._text is None:
            tail = f"\n{self._tail()}\n".encode()
            self._text = csv_stream.whole(self.file.path, self.form.encoding, self.layout.skip, tail)
        # Rows longer than a block are an error after which pyarrow 18 hangs at the end of the program, if it
        # had threads. So they are kept from it; a quote too many may make one row of the rest of the file.
        longest = csv_stream.longest_line(self._text)
        self._quotes = csv_stream.count(self._text, self.layout.quote) if self.layout.quote else 0
        block = min(max(_BLOCK, longest + 1), MOST_ROW)
        use_threads = longest < MOST_ROW and not self._quotes % 2
        while True:
            try:
                return self._arrow(types, only, block, use_threads)
            except InputError:
                raise
            except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
                text = str(error)
            if "straddl" in text and block < MOST_ROW:
                block = MOST_ROW
            elif use_threads:
                use_threads = False  # only then does Arrow know rows by number
            else:
                raise csv_faults.explained(text, self.file.path, self.layout, self.form, self.bad)

    def _arrow(self, types, only, block: int, use_threads: bool) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        names, quote = self.layout.names, self.layout.quote
        self.bad = []
        missing = list(dict.fromkeys((*MISSING, *self.form.missing)))
        missing += [f" {word}" for word in missing]  # 'a, ?, b' is written too
        table = csv.read_csv(
            pa.BufferReader(self._text),
            read_options=csv.ReadOptions(use_threads=use_threads, block_size=block, column_names=list(names)),
            parse_options=csv.ParseOptions(
                delimiter=self.layout.separator,
                quote_char=quote or False,
                newlines_in_values=self._quotes > 0,  # what Arrow needs for it takes time
                # Without threads alone: others still ask when this program has gone on.
                invalid_row_handler=None if use_threads else self._handle_bad,
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                null_values=missing,
                true_values=[],
                false_values=[],
                decimal_point=self.layout.decimal,
                strings_can_be_null=True,
                include_columns=only,
            ),
        )
        return self._without_tail(table, self._tail())

    def _tail(self) -> str:
        """A last row without a value, which an open quote swallows."""
        # A single column needs quotes to have a row without a value.
        return self.layout.separator * (len(self.layout.names) - 1) or self.layout.quote * 2

    def _handle_bad(self, row) -> str:
        """What Arrow asks about a row of another length."""
        self.bad.append(_Bad(row.number, row.expected_columns, row.actual_columns, row.text))
        return "error" if self.form.on_bad_lines == "error" else "skip"

    def _without_tail(self, table: pa.Table, tail: str) -> pa.Table:
        """The table without the row that was added; InputError where an open quote swallowed it."""
        if not tail:
            return table
        count = table.num_rows
        swallowed = bool(self.bad) and self.bad[-1].text.rstrip("\r\n").endswith("\n" + tail)
        if not swallowed and count:
            swallowed = any(column[count - 1].is_valid for column in table.columns)
        if swallowed or not count:
            raise csv_faults.open_quote(self.file.path, self.layout, self.form)
        return table.slice(0, count - 1)

    def _as_words(self, part: Part, names: list[str]) -> None:
        """Puts columns as words where their values are: times of day, numbers with leading zeros."""
        import pyarrow as pa
        import pyarrow.compute as pc

        words = self.table({name: pa.string() for name in names}, only=names)
        for name in names:
            column = words.column(name)
            if part.columns.column(name).type == pa.int64():
                zeros = pc.match_substring_regex(column, _LEADING_ZERO)
                if not pc.any(zeros).as_py():
                    continue
                row = pc.index(zeros, True).as_py()
                log.info(
                    "Column %r has whole numbers with leading zeros, %r in %s: they are read as words. "
                    "data.args.types=('%s:int64',) makes them numbers.",
                    name, column[row].as_py(), part.place(row), name,
                )  # fmt: skip
            part.replace(name, column)

    def _refuse_bytes(self, part: Part) -> None:
        """InputError at the first value that is not in UTF-8: Arrow makes its column one of bytes."""
        import pyarrow as pa

        for name in part.columns.column_names:
            if pa.types.is_binary(part.columns.column(name).type):
                raise csv_faults.not_utf8(part, name)


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return {
        "timestamp": pa.timestamp("us"),
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
    }[kind]


def _say_skipped(parts: list[Part], form: Form) -> None:
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
