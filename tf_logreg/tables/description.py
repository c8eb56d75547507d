"""A schema as a table for the terminal: a line a column, what it is, what it becomes, what to look at."""

from __future__ import annotations

import shutil

from tf_logreg.tables import kinds
from tf_logreg.tables.schema import Column, Schema

_WIDEST = 28  # characters of a name or a value


def describe(schema: Schema, shares: dict[str, float], num_rows: int) -> str:
    """Lines to print.

    Args:
        schema: of the training rows.
        shares: of the classes, by name; {} without a label.
        num_rows: that the schema was inferred from.
    """
    rows = [("column", "type", "missing", "distinct", "values", "becomes")]
    rows += [cells(column) for column in schema.columns]
    for cross in schema.crosses:
        becomes_what = _becomes_levels(cross.kind, cross.features)
        rows.append((_cut(" x ".join(cross.columns)), "cross", "", "", "", becomes_what))
    width = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width[k]) for k, cell in enumerate(row)).rstrip() for row in rows]
    lines.insert(1, "-" * min(max(map(len, lines)), shutil.get_terminal_size((120, 24)).columns))
    notes = [f"  {column.name}: {note}" for column in schema.columns for note in column.seen.notes]
    count = len(schema.feature_names)
    lines += ["", f"{num_rows:,} training rows; {count:,} features of {len(schema.columns)} columns."]
    if shares:
        classes = ", ".join(f"{_cut(name)} {share:.1%}" for name, share in list(shares.items())[:10])
        more = f", ... ({len(shares)} classes)" if len(shares) > 10 else ""
        lines.append(f"{schema.label}: {classes}{more}")
    return "\n".join([*lines, *(["", "To look at:", *notes] if notes else [])])


def cells(column: Column) -> tuple[str, ...]:
    """What a line says of a column."""
    seen = column.seen
    missing = f"{seen.missing:.1%}" if seen.missing else ""
    return (_cut(column.name), column.type, missing, f"{seen.distinct:,}", _values(column), becomes(column))


def _values(column: Column) -> str:
    """The range of numbers and dates, the most frequent words."""
    seen = column.seen
    if isinstance(column.kind, kinds.Categorical) or column.type in ("word", "boolean"):
        return _cut(", ".join(seen.frequent[:3]))
    return column.range


def becomes(column: Column) -> str:
    """What a column becomes, in a few words."""
    kind = column.kind
    if isinstance(kind, kinds.Ignored):
        return f"ignored: {kind.why}"
    if isinstance(kind, kinds.Numeric | kinds.Date):
        name = "log(1 + x)" if isinstance(kind, kinds.Numeric) and kind.is_log else kinds.name_of(kind)
        return name + " and 'is missing'" * kind.has_indicator
    return _becomes_levels(kind, column.features)


def _becomes_levels(kind: kinds.Kind, features: tuple[str, ...]) -> str:
    """What a column of levels or hashes becomes."""
    found = f"{kinds.name_of(kind)}, {len(features):,} features"
    if isinstance(kind, kinds.Categorical):
        found += " with 'other'" * kind.has_other
        if kind.reference >= 0:
            found += f", against {_cut(kind.levels[kind.reference])}"
    return found


def _cut(text: str) -> str:
    """A text of at most `_WIDEST` characters, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."
