"""What is wrong with a CSV file, in the user's terms: file, row, column and remedy.

Only read when an error is certain, so these functions may take seconds.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from tf_logreg.errors import InputError, brief
from tf_logreg.tables.csv_form import MOST_ROW, Form, Layout
from tf_logreg.tables.csv_stream import Stream

if TYPE_CHECKING:
    from tf_logreg.tables.joining import Part

_CONVERSION = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to (.+?): (invalid value '(.*)'|.*)",
    re.DOTALL,
)


def stray_word(part: Part, name: str, what: str, row: int) -> InputError:
    """A word in a column of numbers."""
    value = part.columns.column(name)[row].as_py()
    return InputError(
        f"data.args.path: expected {what} in column {name!r}. Received: {value[:50]!r} in "
        f"{part.place(row)}. If this stands for a missing value, set data.args.missing=({value[:50]!r},); "
        f"if the column is words, data.args.types=('{name}:string',)."
    )


def not_utf8(part: Part, name: str) -> InputError:
    """A value that is not in UTF-8, in a column of bytes."""
    row, value = next(_undecodable(part.columns.column(name)))
    return InputError(
        f"data.args.encoding: expected the encoding of the file. Received: 'utf-8', in which {value[:50]!r} "
        f"in {part.place(row)}, column {name!r}, cannot be read; try 'latin-1' or 'cp1252'."
    )


def _undecodable(column):
    row = 0
    for chunk in column.chunks:
        for value in chunk.to_pylist():
            try:
                (value or b"").decode()
            except UnicodeDecodeError:
                yield row, value
            row += 1


def open_quote(path: str, layout: Layout, form: Form) -> InputError:
    """A quote that is never closed."""
    row = _row_of_open_quote(path, layout, form)
    where = f"row {row} of {path}" if row else f"the last rows of {path}"
    return InputError(
        f"data.args.path: expected each quote {layout.quote} to be closed. Received: one in {where} that is "
        "not; data.args.quote='' reads quotes as any other letter."
    )


def explained(error: str, path: str, layout: Layout, form: Form, bad: list, before: int = 0) -> InputError:
    """What Arrow found wrong in rows that stand behind `before` others."""
    is_long = "straddl" in error  # longer than a block of Arrow's
    if layout.quote and (is_long or bad):
        row = _row_of_open_quote(path, layout, form)
        if row and (is_long or row == bad[-1].number):
            return open_quote(path, layout, form)
    if is_long:
        return InputError(
            f"data.args.path: expected rows of at most {MOST_ROW / 2**20:g} MiB. Received: a longer one in "
            f"{path!r}."
        )
    if found := _CONVERSION.search(error):
        return _not_of_type(found, path, layout, before)
    if bad:
        one = bad[-1]
        return InputError(
            f"data.args.path: expected {one.expected} fields a row, as the first row has. Received: "
            f"{one.actual} in row {one.number} of {path}, {brief(repr(one.text), 80)}; "
            "data.args.on_bad_lines='skip' or 'warn' leaves such rows out."
        )
    return InputError(f"data.args.path: cannot read {path!r}: {brief(error)}.")


def _not_of_type(found: re.Match, path: str, layout: Layout, before: int) -> InputError:
    """A value that is not of the type that the user forces on its column."""
    column, row, kind, what, value = found.groups()
    where = f"row {before + int(row)} of {path}" if row else path
    name = layout.names[int(column)]
    if "UTF8" in what:
        return InputError(
            f"data.args.encoding: expected the encoding of the file. Received: 'utf-8', in which column "
            f"{name!r} in {where} cannot be read; try 'latin-1' or 'cp1252'."
        )
    return InputError(
        f"data.args.types: expected {kind} in column {name!r}. Received: {brief(repr(value or what), 80)} "
        f"in {where}. If this stands for a missing value, list it in data.args.missing."
    )


def _row_of_open_quote(path: str, layout: Layout, form: Form) -> int:
    """The first row, from 1, with a quote open to the end of the file, or for more than a row may have.

    It is 0 where there is none. A quote opens at the beginning of a field; elsewhere it is a letter.
    """
    quote, separator = re.escape(layout.quote), re.escape(layout.separator)
    closed = re.compile(f"(?:^|(?<={separator})){quote}(?:[^{quote}]|{quote}{quote})*{quote}")
    opened = re.compile(f"(?:^|{separator}){quote}")
    stream = Stream(path, form.encoding, skip=layout.skip, must_fit=False)
    row, begun, length = 0, 0, 0
    for line in io.TextIOWrapper(_Buffered(stream), "utf-8", "replace", newline=""):
        if begun:
            length += len(line)
            if line.replace(layout.quote * 2, "").count(layout.quote) % 2:
                begun = 0
        elif line.strip("\r\n"):
            row += 1
            if layout.quote in line and opened.search(closed.sub("", line)):
                begun, length = row, len(line)
        if length > MOST_ROW and begun:
            break
    stream.close()
    return begun


class _Buffered(io.RawIOBase):
    """A stream as Python's text reader takes it."""

    def __init__(self, stream: Stream):
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        return self._stream.read(2**20)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(2**20)
