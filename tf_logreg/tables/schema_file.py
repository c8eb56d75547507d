"""`schema.json`: a schema as JSON, which people may edit, and back, with every field checked."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.tables import kinds
from tf_logreg.tables.schema import TYPES, Column, Cross, Schema, Seen

NAME = "schema.json"
FORMAT, VERSION = "tf_logreg schema", 1
_TRUTH = ("has_indicator", "has_missing", "has_other", "is_log")  # fields that are true or false


def to_json(schema: Schema) -> dict[str, Any]:
    """As `schema.json` holds it."""

    def fields(kind: kinds.Kind) -> dict[str, Any]:
        return {"kind": kinds.name_of(kind), **dataclasses.asdict(kind)}

    columns = [
        {
            "name": column.name,
            "type": column.type,
            **fields(column.kind),
            "seen": dataclasses.asdict(column.seen),
            "examples": list(column.examples),
        }
        for column in schema.columns
    ]
    crosses = [{"columns": list(cross.columns), **fields(cross.kind)} for cross in schema.crosses]
    return {
        "format": FORMAT,
        "version": VERSION,
        "label": schema.label,
        "label_type": schema.label_type,
        "columns": columns,
        "crosses": crosses,
    }


def text(schema: Schema) -> str:
    """As `schema.json` has it."""
    return json.dumps(to_json(schema), indent=1, ensure_ascii=False) + "\n"


def of_json(found: Any, where: str) -> Schema:
    """The schema of a file's contents, which people may have edited.

    Args:
        found: the parsed JSON.
        where: the file, for messages.

    Raises:
        InputError: it is none of ours, of another version, or a column is not as it should be.
    """
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(
            f"data.schema: expected a {NAME} of ours. Received: {where!r}, which is another file."
        )
    if found.get("version") != VERSION:
        raise InputError(
            f"data.schema: expected version {VERSION}. Received: {where!r}, of {found.get('version')!r}."
        )
    try:
        columns = tuple(
            _checked(
                Column(
                    str(one["name"]),
                    one["type"],
                    _kind(one),
                    _record(Seen, one.get("seen", {})),
                    tuple(one.get("examples", ())),
                )
            )
            for one in found["columns"]
        )
        crosses = tuple(
            Cross(tuple(map(str, one["columns"])), _kind(one)) for one in found.get("crosses", ())
        )
        schema = Schema(columns, crosses, str(found.get("label", "")), found.get("label_type", "word"))
        if schema.label_type not in TYPES:
            raise ValueError(f"label_type is {schema.label_type!r}, none of {', '.join(TYPES)}")
        _check_names(schema)
        return schema
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"data.schema: cannot use {where!r}: {what}.") from None


def _kind(one: dict) -> kinds.Kind:
    """The kind that an entry describes."""
    if one["kind"] not in kinds.KINDS:
        raise ValueError(f"{one['kind']!r} is none of the kinds {', '.join(kinds.KINDS)}")
    return _record(kinds.KINDS[one["kind"]], one)


def _record(kind: type, values: dict) -> Any:
    """A record from the values that it has fields for; lists are tuples."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name in names
        }
    )


def _checked(column: Column) -> Column:
    """The column; ValueError where an edited field does not fit the others."""
    kind, name = column.kind, column.name
    if column.type not in TYPES:
        raise ValueError(f"the type of {name!r} is {column.type!r}, none of {', '.join(TYPES)}")
    if kind.takes == "numbers" and column.type not in ("integer", "number", "date", "boolean"):
        raise ValueError(f"{name!r} of type {column.type!r} cannot be {kinds.name_of(kind)!r}")
    if kind.takes == "words" and column.type in ("date", "other"):
        raise ValueError(f"{name!r} of type {column.type!r} cannot be {kinds.name_of(kind)!r}")
    if isinstance(kind, kinds.Categorical):
        if len(set(kind.levels)) < len(kind.levels) or not all(isinstance(v, str) and v for v in kind.levels):
            raise ValueError(f"the levels of {name!r} are not distinct words")
        if not -1 <= kind.reference < len(kind.levels):
            raise ValueError(f"the reference of {name!r} is {kind.reference}, no place of its levels")
    if isinstance(kind, kinds.Bucketized) and (not kind.edges or (np.diff(kind.edges) <= 0).any()):
        raise ValueError(f"the edges of {name!r} do not ascend")
    if isinstance(kind, kinds.Hashed | kinds.Text) and not (
        type(kind.buckets) is int and 0 < kind.buckets < 2**31
    ):
        raise ValueError(f"the buckets of {name!r} are {kind.buckets!r}")
    if isinstance(kind, kinds.Numeric | kinds.Date) and not np.isfinite(kind.mean):
        raise ValueError(f"the mean of {name!r} is {kind.mean!r}")
    _check_fields(column)
    return column


def _check_fields(column: Column) -> None:
    """ValueError for a field of another type than we write."""
    kind, name, seen = column.kind, column.name, column.seen
    for field in _TRUTH:
        if type(getattr(kind, field, True)) is not bool:
            raise ValueError(f"{field!r} of {name!r} is neither true nor false")
    if type(getattr(kind, "reference", -1)) is not int:
        raise ValueError(f"the reference of {name!r} is {kind.reference!r}")
    if isinstance(kind, kinds.Bucketized) and not -1 <= kind.reference <= len(kind.edges):
        raise ValueError(f"the reference of {name!r} is {kind.reference}, no place of its buckets")
    numbers = [seen.missing, seen.distinct, *[seen.low, seen.high] * ((seen.low, seen.high) != (None, None))]
    texts = [seen.frequent, seen.notes]
    if not all(isinstance(number, int | float) for number in numbers) or not all(
        isinstance(one, tuple) and all(isinstance(text, str) for text in one) for one in texts
    ):
        raise ValueError(f"'seen' of {name!r} is not as we write it")


def _check_names(schema: Schema) -> None:
    """ValueError for columns of the same name, and crosses of columns that are not there or have no words."""
    names = [column.name for column in schema.columns]
    if len(set(names)) < len(names):
        raise ValueError(f"two columns are called {next(n for n in names if names.count(n) > 1)!r}")
    for cross in schema.crosses:
        _check_cross(cross, schema, names)


def _check_cross(cross: Cross, schema: Schema, names: list[str]) -> None:
    """ValueError for a cross of other than two columns of words, or whose levels are no pairs."""
    if len(cross.columns) != 2 or not isinstance(cross.kind, kinds.Hashed | kinds.Categorical):
        raise ValueError("a cross is of two columns, and hashed or categorical")
    for name in cross.columns:
        if name not in names:
            raise ValueError(f"a cross is of {name!r}, which is no column")
        if schema.column(name).type in ("number", "date", "other"):
            raise ValueError(f"a cross is of {name!r}, which has no words")
    _checked(Column(" x ".join(cross.columns), "word", cross.kind))
    if any(kinds.JOINT not in level for level in getattr(cross.kind, "levels", ())):
        raise ValueError(f"a level of the cross of {' and '.join(cross.columns)} is no pair")
