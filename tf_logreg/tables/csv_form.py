"""The form of a CSV file: what the user says of it, and what its first rows say of the rest."""

import codecs
import collections
import csv
import dataclasses
import io
import itertools
import logging
import re

from tf_logreg.errors import InputError
from tf_logreg.names import describe
from tf_logreg.tables.csv_stream import Stream

log = logging.getLogger(__name__)

MOST_ROW = 64 * 2**20  # bytes of the longest row that is read
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "?")
TYPES = ("string", "int64", "float64", "timestamp")
_SAMPLE = 2**20  # bytes from which the form is guessed
_GUESS_ROWS = 200
_SEPARATORS = "\t;|,"  # in the order in which they win: commas stand in numbers and text too
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


@dataclasses.dataclass(frozen=True)
class Form:
    """The arguments of the source `csv` that say what a file looks like; its docstring describes them."""

    separator: str = ""
    quote: str = '"'
    decimal: str = ""
    header: bool = True
    column_names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    encoding: str = "utf-8"
    on_bad_lines: str = "error"
    types: tuple[str, ...] = ()

    def __post_init__(self):
        """Checks what the user gave."""
        for name, value in (("separator", self.separator), ("quote", self.quote), ("decimal", self.decimal)):
            if len(value) > 1 or not value.isascii() or value in ("\n", "\r", "\0"):
                raise InputError(
                    f"data.args.{name}: expected one ASCII character or ''. Received: {value!r}."
                )
        if self.decimal not in ("", ".", ","):
            raise InputError(f"data.args.decimal: expected '.', ',' or ''. Received: {self.decimal!r}.")
        if self.separator and self.separator == self.quote:
            raise InputError(
                f"data.args.quote: expected not the separator. Received: {self.quote!r} for both."
            )
        try:
            codecs.lookup(self.encoding)
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise InputError(
                "data.args.encoding: expected the name of an encoding of text that Python knows, such as "
                f"'latin-1' or 'cp1252'. Received: {self.encoding!r}."
            ) from None
        if self.on_bad_lines not in ("error", "skip", "warn"):
            raise InputError(
                f"data.args.on_bad_lines: expected 'error', 'skip' or 'warn'. Received: "
                f"{self.on_bad_lines!r}."
            )
        for name in ("column_names", "missing", "types"):
            for one in getattr(self, name):
                if not isinstance(one, str):
                    raise InputError(f"data.args.{name}: expected strings. Received: {one!r}.")
        _refuse_duplicates(self.column_names, "data.args.column_names: expected distinct names")
        self.forced()

    def forced(self) -> dict[str, str]:
        """Names of columns -> the types that the user forces on them."""
        found = {}
        for one in self.types:
            name, colon, kind = one.rpartition(":")
            if not colon or kind not in TYPES:
                raise InputError(
                    f"data.args.types: expected 'column:type' with a type of {', '.join(TYPES)}. "
                    f"Received: {one!r}."
                )
            if found.setdefault(name, kind) != kind:
                raise InputError(
                    f"data.args.types: expected one type of column {name!r}. Received: {one!r} too."
                )
        return found


@dataclasses.dataclass(frozen=True)
class Layout:
    """A file's form as found: where its rows begin, and what its values look like.

    skip: bytes of UTF-8 before the first row of data.
    """

    path: str
    separator: str
    quote: str
    decimal: str
    names: tuple[str, ...]
    skip: int


def layout(path: str, form: Form) -> Layout:
    """Reads the beginning of a file.

    Raises:
        InputError: an empty file, or a header that is too long, not in the encoding or has a name twice.
    """
    size = _SAMPLE
    while True:
        stream = Stream(path, form.encoding)
        data = _up_to(stream, size)
        is_whole = not stream.read(1)
        stream.close()
        if not data.strip():
            raise InputError(f"data.args.path: expected rows. Received: an empty file, {path!r}.")
        text = data.decode("utf-8", "replace")
        separator = form.separator or _separator(text, form.quote, is_whole)
        first, length = _first_row(text, separator, form.quote)
        if is_whole or length < len(text):
            break
        if size >= MOST_ROW:
            raise InputError(
                f"data.args.path: expected rows of at most {MOST_ROW / 2**20:g} MiB. Received: a longer "
                f"first row in {path!r}; is a quote {form.quote} there that is never closed?"
            )
        size = min(size * 8, MOST_ROW)
    _check_header(text[:length], data, form, path)
    if form.quote and text[:length].count(form.quote) % 2 and "\n" in text[:length].strip():
        raise InputError(
            f"data.args.path: expected each quote {form.quote} to be closed. Received: one in the first "
            f"row of {path!r} that is not; data.args.quote='' reads quotes as any other letter."
        )
    names = _names(first, form, path)
    skip = len(text[:length].encode()) if form.header else 0
    decimal = form.decimal or _decimal(text[length * form.header :], separator, form.quote, is_whole)
    return Layout(path, separator, form.quote, decimal, names, skip)


def say_guesses(layouts: list[Layout], form: Form) -> None:
    """Logs what was guessed and is not usual, once a kind."""
    for what, usual in (("separator", ","), ("decimal", ".")):
        if getattr(form, what):
            continue
        for value, some in itertools.groupby(layouts, key=lambda one: getattr(one, what)):
            if value != usual:
                log.info(
                    "%s: read with %s %r, as its first rows suggest; data.args.%s sets another.",
                    describe((one.path for one in some), 2), what, value, what,
                )  # fmt: skip


def _up_to(stream: Stream, size: int) -> bytes:
    """The first bytes of a file, at most so many."""
    blocks, left = [], size
    while left and (data := stream.read(left)):
        blocks.append(data)
        left -= len(data)
    return b"".join(blocks)


def _rows(text: str, separator: str, quote: str):
    """Rows of a text, with blank lines as []."""
    style = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, **style)


def _sample(text: str, separator: str, quote: str, is_whole: bool) -> list[list[str]]:
    """The first rows of a text; [] where it cannot be read so. The last may be cut off and is left out."""
    try:
        rows = list(itertools.islice(_rows(text, separator, quote), _GUESS_ROWS + 1))
    except csv.Error:  # a field longer than that module takes
        return []
    if len(rows) > _GUESS_ROWS or (not is_whole and len(rows) > 1):
        rows.pop()
    return [row for row in rows if row]


def _separator(text: str, quote: str, is_whole: bool) -> str:
    """The separator with which most rows have the same number of fields."""
    best, chosen = (0.0, 0), ","
    for separator in _SEPARATORS:
        if separator == quote:
            continue
        counts = collections.Counter(map(len, _sample(text, separator, quote, is_whole)))
        if not counts:
            continue
        columns, rows = counts.most_common(1)[0]
        score = (round(rows / counts.total(), 2), 1)
        if columns > 1 and score > best:
            best, chosen = score, separator
    return chosen


def _decimal(text: str, separator: str, quote: str, is_whole: bool) -> str:
    """',' where some column has numbers such as 3,14 and nothing contradicts, else '.'."""
    if separator == ",":
        return "."
    has_commas = False
    rows = _sample(text, separator, quote, is_whole)
    for column in itertools.zip_longest(*rows, fillvalue=""):
        values = [value.strip() for value in column]
        values = [value for value in values if value not in MISSING]
        if any(map(_DECIMAL_POINT.fullmatch, values)):
            return "."
        commas = [value for value in values if _DECIMAL_COMMA.fullmatch(value)]
        # 1,234 in all rows may be thousands.
        if commas and not all(map(_THOUSANDS.fullmatch, commas)):
            has_commas |= all(value in commas or _NUMBER.fullmatch(value) for value in values)
    return "," if has_commas else "."


def _first_row(text: str, separator: str, quote: str) -> tuple[list[str], int]:
    """The first row that is not blank, and the number of characters up to its end."""
    read = 0

    def lines():
        nonlocal read
        for line in io.StringIO(text, newline=""):
            read += len(line)
            yield line

    style = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    before = csv.field_size_limit(len(text) + 1)
    try:
        return next((row for row in csv.reader(lines(), delimiter=separator, **style) if row), []), read
    finally:
        csv.field_size_limit(before)


def _check_header(header: str, data: bytes, form: Form, path: str) -> None:
    """InputError where the first row is not in the encoding."""
    if "�" in header and "�".encode() not in data[: len(header.encode())]:
        raise InputError(
            f"data.args.encoding: expected the encoding of the file. Received: {form.encoding!r}, in which "
            f"the first row of {path!r} cannot be read: {header.strip()[:100]!a}; try 'latin-1' or 'cp1252'."
        )


def _names(first: list[str], form: Form, path: str) -> tuple[str, ...]:
    """Names of the columns: as given, from the header, or 'column 1' for those without."""
    if form.column_names:
        if len(form.column_names) != len(first):
            raise InputError(
                f"data.args.column_names: expected {len(first)} names, one a column of {path!r}. Received: "
                f"{len(form.column_names)}."
            )
        return form.column_names
    if not form.header:
        return tuple(f"column {at}" for at in range(1, len(first) + 1))
    found = [name.strip() for name in first]
    if all(map(_NUMBER.fullmatch, found)):
        log.warning(
            "%s: the first row, taken as the header, has numbers alone: %s. If it is data, set "
            "data.args.header=False.", path, describe(found, 5),
        )  # fmt: skip
    names = tuple(name or f"column {at}" for at, name in enumerate(found, 1))
    if names != tuple(found):
        log.info(
            "%s: columns without a name are called %s.",
            path, describe((name for name, given in zip(names, found, strict=True) if not given), 5),
        )  # fmt: skip
    _refuse_duplicates(names, f"data.args.path: expected distinct names in the header of {path!r}")
    return names


def _refuse_duplicates(names: tuple[str, ...], expected: str) -> None:
    places = collections.defaultdict(list)
    for at, name in enumerate(names, 1):
        places[name].append(str(at))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    if twice:
        told = "; ".join(
            f"{name!r} for columns {', '.join(where)}" for name, where in list(twice.items())[:5]
        )
        remedy = "" if "column_names" in expected else ". Give others by data.args.column_names"
        raise InputError(f"{expected}. Received: {told}{remedy}.")
