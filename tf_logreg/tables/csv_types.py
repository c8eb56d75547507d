"""Columns of CSV files that Arrow took for words: numbers or times with a stray word, or words indeed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tf_logreg.tables import csv_faults, joining
from tf_logreg.tables.joining import Part

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_HEAD = 1000  # values that say whether a column has numbers or words
_MANY_NUMBERS = 0.9  # share of numbers among words that is worth a warning
_NUMBER = r"^[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*$|^[ \t]*[+-]?(?i:inf|infinity|nan)[ \t]*$"
_LEADING_ZERO = r"^[ \t]*0\d"
_TIME = r"^[ \t]*\d{4}-\d\d-\d\d([ T]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?[ \t]*$"


def is_words(column: pa.ChunkedArray) -> bool:
    """Whether it holds text, in some row at least."""
    import pyarrow as pa

    return column.type == pa.string() and column.null_count < len(column)


def leading_zeros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which of some words begin with 0 and another digit."""
    import pyarrow.compute as pc

    return pc.match_substring_regex(column, _LEADING_ZERO)


def arrow_type(kind: str) -> pa.DataType:
    """One of `csv_form.TYPES` as Arrow has it."""
    import pyarrow as pa

    return {
        "timestamp": pa.timestamp("us"),
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
    }[kind]


def joined(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The type that Arrow finds in a column in whose parts it finds these."""
    import pyarrow as pa

    if first == second or second == pa.null():
        return first
    if first == pa.null():
        return second
    if {first, second} == {pa.int64(), pa.float64()}:
        return pa.float64()
    for zone in (None, "UTC"):
        fine = [pa.timestamp("s", zone), pa.timestamp("ns", zone)]
        order = fine if zone else [pa.date32(), *fine]
        if first in order and second in order:
            return max(first, second, key=order.index)
    return pa.string()


def is_far(column: pa.ChunkedArray) -> bool:
    """Whether some of its times are before 1677 or after 2262, where nanoseconds end."""
    import pyarrow as pa

    if not pa.types.is_date(column.type) and not pa.types.is_timestamp(column.type):
        return False
    try:
        column.cast(pa.timestamp("ns", getattr(column.type, "tz", None)))
    except pa.ArrowInvalid:
        return True
    return False


def first_other(column: pa.ChunkedArray, what: str, decimal: str) -> int:
    """The first row whose word is none of 'numbers' or 'dates'; -1 where all are."""
    import pyarrow.compute as pc

    return pc.index(_matches(column, _NUMBER if what == "numbers" else _TIME, decimal), False).as_py()


def _matches(column: pa.ChunkedArray, pattern: str, decimal: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.match_substring_regex(column, pattern.replace(r"\.", re.escape(decimal)))


def refuse_stray_words(part: Part, name: str, decimal: str) -> None:
    """InputError where a column begins with numbers, or times, and has words later on.

    Arrow would make all of them words. The first values decide, so that the same rows in more or in fewer
    files are read alike.
    """
    import pyarrow.compute as pc

    column = part.columns.column(name)
    head = column.drop_null().slice(0, _HEAD) if column.null_count else column.slice(0, _HEAD)
    for what, pattern in (("numbers", _NUMBER), ("times", _TIME)):
        share = pc.mean(_matches(head, pattern, decimal)).as_py()
        if share < _MANY_NUMBERS or (share == 1 and len(head) == 1):
            continue
        fits = _matches(column, pattern, decimal)
        row = pc.index(fits, False).as_py()
        if row < 0:
            return  # numbers in forms that Arrow does not read together
        value = column[row].as_py()
        if share < 1:
            count = len(column) - column.null_count - pc.sum(fits).as_py()
            log.warning(
                "Column %r is read as words: %d of its values are not %s, the first is %r in %s. If "
                "they are missing values, list them in data.args.missing.",
                name, count, what, value[:50], part.place(row),
            )  # fmt: skip
            return
        raise csv_faults.stray_word(part, name, what, row)


def settle(parts: list[Part], mixed: joining.MixedTypesError, reader: Callable[[Part], Any]) -> None:
    """Makes a column words in all files where some of them have words alone; else an InputError.

    Args:
        parts: all of a table.
        mixed: the column.
        reader: of a part, with its `layout` and `words(name)`, the column as the file spells it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.string() not in mixed.kinds:
        joining.refuse_mixed(parts, mixed)
    name = mixed.name
    for part in parts:
        column = part.columns.column(name)
        if column.type != pa.string() or column.null_count == len(column):
            continue
        decimal = reader(part).layout.decimal
        fits = pc.or_(_matches(column, _NUMBER, decimal), _matches(column, _TIME, decimal))
        if pc.any(fits).as_py():
            row = pc.index(fits, False).as_py()
            other = next(kind for kind in mixed.kinds if kind != pa.string())
            if row >= 0:
                what = "times" if pa.types.is_timestamp(other) else "numbers"
                raise csv_faults.stray_word(part, name, f"{what} as in {mixed.kinds[other].file.path!r}", row)
    log.info(
        "Column %r is read as words: %r has words there, %r has none.",
        name, mixed.kinds[pa.string()].file.path,
        next(part.file.path for kind, part in mixed.kinds.items() if kind != pa.string()),
    )  # fmt: skip
    for part in parts:
        if part.columns.column(name).type not in (pa.string(), pa.null()):
            part.replace(name, reader(part).words(name))
