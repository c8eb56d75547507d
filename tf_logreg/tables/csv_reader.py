"""Rows of a CSV file as Arrow reads them: the whole file, or a piece of its text.

Arrow reads a text with all cores and finds each column's type. What it would let pass is checked: rows of
other lengths, a quote that is never closed. Only when something is wrong is the text read again, for its row.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tf_logreg.errors import InputError
from tf_logreg.tables import csv_faults, csv_stream, csv_types
from tf_logreg.tables.csv_form import MISSING, MOST_ROW, Form, Layout
from tf_logreg.tables.joining import Part
from tf_logreg.tables.paths import File

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 2**21  # bytes that one core works on at a time


@dataclasses.dataclass
class Bad:
    """A row with another number of fields: its number among the rows of the file, from 1, and its text."""

    number: int
    expected: int
    actual: int
    text: str


@dataclasses.dataclass
class Reader:
    """Reads rows once or more often.

    Attributes:
        file, layout, form: whose rows they are, and what they look like.
        piece: the text of some rows; None for that of the whole file.
        before: number of rows of the file that stand before them.
        bad: rows that were found to have another number of fields, by the last call of `table`.
        count: number of rows, bad ones too, that this call found.
    """

    file: File
    layout: Layout
    form: Form
    piece: bytes | None = None
    before: int = 0
    bad: list[Bad] = dataclasses.field(default_factory=list)
    count: int = 0
    _text: pa.Buffer | None = None
    _quotes: int = 0

    @property
    def forced(self) -> dict[str, pa.DataType]:
        """Types that the user forces on columns of the file."""
        forced = self.form.forced().items()
        return {name: csv_types.arrow_type(kind) for name, kind in forced if name in self.layout.names}

    def table(self, types: dict[str, pa.DataType], only: list[str] | None = None) -> pa.Table:
        """What Arrow reads.

        Args:
            types: of columns; Arrow finds those of others.
            only: names of the columns that are read; None for all.

        Raises:
            InputError: with file and row.
        """
        import pyarrow as pa

        self._load()
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
                raise csv_faults.explained(
                    text, self.file.path, self.layout, self.form, self.bad, self.before
                )

    def words(self, name: str) -> pa.ChunkedArray:
        """A column as the file spells it."""
        import pyarrow as pa

        return self.table({name: pa.string()}, only=[name]).column(name)

    def part(self, table: pa.Table) -> Part:
        """The rows that `table` gave, with their places."""
        return Part(self.file, table, [one.number for one in self.bad], self.before)

    def refuse_bytes(self, table: pa.Table) -> None:
        """InputError at the first value that is not in UTF-8: Arrow makes its column one of bytes."""
        import pyarrow as pa

        for name in table.column_names:
            if pa.types.is_binary(table.column(name).type):
                raise csv_faults.not_utf8(self.part(table), name)

    def has_leading_zeros(self) -> bool:
        """Whether some value may begin with 0 and another digit; after `table`."""
        return csv_stream.has_leading_zeros(self._text, self.layout.separator, self.layout.quote)

    def _load(self) -> None:
        """Reads the text, with a last row behind it that has no value: an open quote swallows it."""
        import pyarrow as pa

        if self._text is not None:
            return
        tail = f"\n{self._tail()}\n".encode()
        if self.piece is None:
            self._text = csv_stream.whole(self.file.path, self.form.encoding, self.layout.skip, tail)
        else:
            self._text = pa.py_buffer(self.piece + tail)

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
        table = self._without_tail(table, self._tail())
        self.count = len(table) + len(self.bad)
        return table

    def _tail(self) -> str:
        """A last row without a value."""
        # A single column needs quotes to have a row without a value.
        return self.layout.separator * (len(self.layout.names) - 1) or self.layout.quote * 2

    def _handle_bad(self, row) -> str:
        """What Arrow asks about a row of another length."""
        number = self.before + row.number
        self.bad.append(Bad(number, row.expected_columns, row.actual_columns, row.text))
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
