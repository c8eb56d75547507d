"""What people say of a column on the command line, `bucketized:10` or `categorical:reference=Private`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from tf_logreg.errors import InputError
from tf_logreg.names import did_you_mean
from tf_logreg.tables import kinds

_NUMBERS = {"bucketized": True, "hashed": True, "text": False, "categorical": False}  # whether one is needed
NAMES = ("numeric", "log1p", "bucketized", "categorical", "hashed", "text", "date", "ignore")
_EXAMPLE = (
    "numeric, log1p, bucketized:10, categorical, categorical:reference=LEVEL, hashed:1000, text:65536, date "
    "or ignore"
)


@dataclasses.dataclass(frozen=True)
class Override:
    """What a column becomes by someone's word.

    Attributes:
        kind: one of `NAMES`.
        number: of buckets or levels, 0 for none given.
        reference: a level, '' for none given.
    """

    kind: str
    number: int = 0
    reference: str = ""


def overrides(asked: Mapping[str, str], columns: Iterable[str]) -> dict[str, Override]:
    """Parses data.columns.

    Args:
        asked: by column, 'bucketized:10'.
        columns: of the table.

    Raises:
        InputError: no such column, or no such kind.
    """
    columns = tuple(columns)
    for name in asked:
        if name not in columns:
            raise InputError(
                f"data.columns.{name}: expected one of the table's {len(columns)} columns. "
                f"Received: {name!r}.{did_you_mean(name, columns)}"
            )
    return {name: parse(text, f"data.columns.{name}") for name, text in asked.items()}


def parse(text: str, field: str) -> Override:
    """One override; InputError if there is no such kind."""
    kind, _, rest = str(text).partition(":")
    option, _, level = rest.partition("=")
    known = kind in NAMES
    if known and kind == "categorical" and option == "reference" and level:
        return Override(kind, reference=level)
    if known and not rest and not _NUMBERS.get(kind, False):
        return Override(kind, kinds.TEXT_BUCKETS if kind == "text" else 0)
    if known and kind in _NUMBERS and rest.isdecimal() and 1 < int(rest) < 2**31:
        return Override(kind, int(rest))
    raise InputError(f"{field}: expected {_EXAMPLE}. Received: {text!r}.")


@dataclasses.dataclass(frozen=True)
class AskedCross:
    """Two columns to cross; `buckets` 0 for exact pairs."""

    columns: tuple[str, str]
    buckets: int = 0


def crosses(text: str, columns: Iterable[str]) -> tuple[AskedCross, ...]:
    """Parses data.crosses, 'education x occupation:10000, city x hour'.

    Raises:
        InputError: it has another form, or names no columns of the table.
    """
    columns, found = tuple(columns), []
    for one in filter(None, (part.strip() for part in text.split(","))):
        pair, _, number = one.partition(":") if one.rpartition(":")[2].isdecimal() else (one, "", "")
        names = tuple(name.strip() for name in pair.split(" x "))
        if len(names) != 2 or (number and not int(number) > 1):
            raise InputError(
                f"data.crosses: expected 'first x second' or 'first x second:10000'. Received: {one!r}."
            )
        for name in names:
            if name not in columns:
                raise InputError(f"data.crosses: expected two of the table's columns. Received: {name!r}.")
        found.append(AskedCross(names, int(number or 0)))
    return tuple(found)
