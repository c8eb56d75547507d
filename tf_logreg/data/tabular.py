"""A table of raw columns -> a `Source` of features: the label and the like are named, the rest is encoded.

A schema is fitted to the training rows, so rows are split first; a given one is taken as it is.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import TYPE_CHECKING

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import storage
from tf_logreg.data import named_columns, slices, split
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import Source
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.errors import InputError
from tf_logreg.tables import drift, encoding, inference, kinds, leaks, overrides, schema_file
from tf_logreg.tables.schema import Schema
from tf_logreg.tables.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_MOST_SAID = 10  # columns that are named, and hints
_LAYOUTS = {"auto": None, "dense": False, "sparse": True}  # data.layout -> whether rows are CSR


def read(
    table: Table, config: ConfigDict, schema: Schema | None = None
) -> tuple[Source, dict[str, np.ndarray]]:
    """Features, labels and roles of the rows of a table.

    Args:
        table: raw columns.
        config: its section data is read, the penalties and the seed.
        schema: of a finished run or a file; None to infer it from the training rows.

    Returns:
        The source, in the classes of the table, whose `schema` tells how features were made; row ids by role.

    Raises:
        InputError: a column is not there or cannot be used; rows cannot be split.
    """
    data = config.data
    if schema is not None:
        table = table.with_words(schema.word_columns)
    y, class_names = named_columns.labelled(table, data)
    rows, rest = _split(table, config, y, class_names)
    columns = named_columns.features_of(table, data)

    def inferred() -> Schema:
        return _inferred(columns, config, y, rest["weight"], rows["train"])

    is_given, schema = schema is not None, schema or inferred()
    if data.missing != "indicator":
        whole = _whole_rows(schema, columns, rows, data.missing, table)
        is_less, rows = len(whole["train"]) < len(rows["train"]), whole
        if is_less and not is_given:
            schema = inferred()  # of the rows that are left
    if not is_given:
        _say(schema)
    # A given one may be of another label.
    schema = dataclasses.replace(schema, label=data.label, label_type=named_columns.label_type(table, data))
    if not schema.feature_names:
        hints = "; ".join(note for column in schema.columns for note in column.seen.notes)
        raise InputError(
            f"data: expected a column that becomes a feature. Received: none; all are ignored"
            f"{hints and ': '}{hints}."
        )
    x = encoding.encode(schema, columns, sparse=_LAYOUTS[data.layout])
    if is_given:
        _say_new(schema, columns)
    make = from_arrays if isinstance(x, np.ndarray) else from_sparse
    source = make(x, y, class_names=class_names, feature_names=schema.feature_names, **rest)
    levels = slices.of_table(table, config.evaluate.slices)
    return dataclasses.replace(source, schema=schema, levels=levels), rows


def _say(schema: Schema) -> None:
    """Logs which columns are left out, and the hints and warnings of a schema, as far as they are few."""
    ignored = [f"{c.name!r} ({c.kind.why})" for c in schema.columns if isinstance(c.kind, kinds.Ignored)]
    told = leaks.said(schema.columns)
    notes = [f"{column.name}: {note}" for column in schema.columns for note in column.seen.notes]
    notes = told + [note for note in notes if note not in told]
    if ignored:
        more = f", ... ({len(ignored)} in all)" if len(ignored) > _MOST_SAID else ""
        log.info("Columns that are left out: %s%s.", ", ".join(ignored[:_MOST_SAID]), more)
    for note in notes[:_MOST_SAID]:
        # Warnings are seen from Python too, where nobody has asked for a log.
        log.log(logging.WARNING if note in told else logging.INFO, "To look at: %s", note)
    if len(notes) > _MOST_SAID:
        log.info("To look at: %d columns more; --mode=describe names them.", len(notes) - _MOST_SAID)


def _say_new(schema: Schema, columns: pa.Table) -> None:
    """Logs what the rows have that those of the schema had not."""
    found = drift.Drift(schema)
    found.add(columns)
    for line in found.lines():
        log.info("The rows of the schema had not: %s", line)


def described(table: Table, config: ConfigDict) -> tuple[Schema, np.ndarray, np.ndarray, tuple[str, ...]]:
    """The schema that a run would have, its training rows, y [n] and class names.

    Without a label these are all rows, zeros and ().

    Raises:
        InputError: as `read`.
    """
    data = config.data
    if data.label:
        y, class_names = named_columns.labelled(table, data)
        rows, rest = _split(table, config, y, class_names)
        train, weight = rows["train"], rest["weight"]
    else:
        y, class_names, weight = np.zeros(len(table.columns), np.int32), (), None
        train = np.arange(len(y))
    schema = given_schema(data) or _inferred(named_columns.features_of(table, data), config, y, weight, train)
    return schema, train, y, class_names


def _split(
    table: Table, config: ConfigDict, y: np.ndarray, class_names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict]:
    """Row ids by role; and splits, place, extras and weight, as every source of these rows takes them."""
    data = config.data
    extras = {
        data[role]: named_columns.extra(table, data[role])
        for role in ("offset", "group", "time")
        if data[role]
    }
    rest = {"splits": table.splits, "place": table.place, "extras": extras}
    rest["weight"] = named_columns.weights(table, data.weight)
    bare = from_arrays(np.zeros((len(y), 1), np.float32), y, class_names=class_names, **rest)
    return split.split_rows(bare, seed=config.seed, **split_options(data)), rest


def _inferred(
    columns: pa.Table, config: ConfigDict, y: np.ndarray, weight: np.ndarray | None, rows: np.ndarray
) -> Schema:
    """The schema of some rows."""
    weight = np.ones(len(y)) if weight is None else weight
    rules = rules_of(config, columns.column_names)
    if len(rows) < len(columns):
        columns, y, weight = columns.take(rows), y[rows], weight[rows]
    return inference.infer(columns, y, weight, rules, label=config.data.label)


def given_schema(data: ConfigDict) -> Schema | None:
    """The schema that data.schema names, a file or a run's directory; None for ''.

    Raises:
        InputError: there is none, it is none of ours, or overrides are given beside it.
    """
    if not data.schema:
        return None
    if data.columns or data.crosses:
        raise InputError(
            "data.columns, data.crosses: expected none beside data.schema, which says what columns become: "
            f"edit it. Received: data.schema={data.schema!r}."
        )
    path = storage.path_or_address(data.schema, "data.schema")
    run = storage.Folder(path, "data.schema")
    if run.holds(schema_file.NAME):
        return schema_file.of_json(run.read_json(schema_file.NAME), run.where(schema_file.NAME))
    folder, name = os.path.split(path)
    return schema_file.of_json(storage.Folder(folder or ".", "data.schema").read_json(name), path)


def rules_of(config: ConfigDict, columns: list[str]) -> inference.Rules:
    """What inference follows, from the section data and whether there is a penalty."""
    data = config.data
    penalised = config.l1 or config.l2 or config.C or config.path.penalty
    return inference.Rules(
        min_count=data.min_count,
        max_levels=data.max_levels,
        with_reference=data.coding == "reference" or (data.coding == "auto" and not penalised),
        one_whole=data.coding == "auto" and not config.model.bias,
        overrides=overrides.overrides(data.columns.to_dict(), columns),
        crosses=overrides.crosses(data.crosses, columns),
        words=frozenset(
            one.rpartition(":")[0] for one in data.args.get("types", ()) if one.endswith(":string")
        ),
    )


def split_options(data: ConfigDict) -> dict:
    """The arguments of `split_rows` from the section data."""
    names = ("train_split", "validation_fraction", "test_fraction", "validation_split", "test_split")
    return {name: data[name] for name in (*names, "group", "time")}


def _whole_rows(
    schema: Schema, columns: pa.Table, rows: dict[str, np.ndarray], policy: str, table: Table
) -> dict[str, np.ndarray]:
    """The rows that lack no value of a used column; InputError at the first that does with 'error'."""
    encoding.check_columns(schema, columns.column_names)
    lacks, used = np.zeros(len(columns), bool), np.concatenate(list(rows.values()))
    for column in schema.used:
        missing = encoding.missing_of(columns, column)
        if policy == "error" and missing[used].any():
            row = int(used[missing[used].argmax()])
            raise InputError(
                f"data.missing: expected no missing value with 'error'. Received: "
                f"{int(missing[used].sum())} in column {column.name!r}, the first in {table.place(row)}."
            )
        lacks |= missing
    kept = {role: ids[~lacks[ids]] for role, ids in rows.items()}
    dropped = {role: len(rows[role]) - len(kept[role]) for role in rows if len(rows[role]) > len(kept[role])}
    if dropped:
        counts = ", ".join(f"{count} of {role}" for role, count in dropped.items())
        log.info("Rows left out, as they lack a value (data.missing='drop'): %s.", counts)
    if not len(kept["train"]):
        raise InputError("data.missing: expected training rows that lack no value. Received: none.")
    return {role: ids for role, ids in kept.items() if len(ids)}
