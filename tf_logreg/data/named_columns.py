"""The columns of a table that fields of the section data name: label, weight, offset, group and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import labels as codings
from tf_logreg.errors import InputError
from tf_logreg.names import did_you_mean
from tf_logreg.tables import values
from tf_logreg.tables.table import Table, dictionary

if TYPE_CHECKING:
    import pyarrow as pa

ROLES = ("label", "weight", "offset", "group", "time")  # fields of the section data that name columns


def features_of(table: Table, data: ConfigDict) -> pa.Table:
    """The columns that no field names."""
    named = {data[role] for role in ROLES if data[role]}
    return table.columns.select([name for name in table.columns.column_names if name not in named])


def labelled(table: Table, data: ConfigDict) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class indices int32 [n] and names, after the fields that name columns are checked."""
    _check_roles(table.columns, data)
    return _labels(table, data.label)


def label_type(table: Table, data: ConfigDict) -> str:
    """'integer', 'number', 'boolean' or 'word': of the labels, as the table has them."""
    return values.type_of(table.columns[data.label].type)


def _check_roles(columns: pa.Table, data: ConfigDict) -> None:
    """InputError where a named column is not there, or has two roles."""
    for role in ROLES:
        name = data[role]
        if role == "label" and not name:
            raise InputError(
                f"data.label: expected the column to predict, one of {', '.join(columns.column_names[:20])}. "
                "Received: ''."
            )
        if name and name not in columns.column_names:
            raise InputError(
                f"data.{role}: expected one of the {len(columns.column_names)} columns. "
                f"Received: {name!r}.{did_you_mean(name, columns.column_names)}"
                + " Rows without labels are scored by --mode=predict."
                * (role == "label")
            )
    if data.label in (data.weight, data.offset):
        raise InputError(
            f"data.weight, data.offset: expected other columns than the label. Received: {data.label!r}."
        )


def _labels(table: Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class indices int32 [n] and class names.

    Raises:
        InputError: rows without a label, how many and the first; numbers that are no classes.
    """
    import pyarrow as pa

    column = table.columns[name]
    _check_known(column, table, "data.label", name)
    if not (
        pa.types.is_string(column.type) or values.type_of(column.type) in ("integer", "number", "boolean")
    ):
        raise InputError(
            f"data.label: expected words, whole numbers or booleans. "
            f"Received: {column.type} in column {name!r}."
        )
    if pa.types.is_string(column.type):
        place, words = dictionary(column)
        codes, class_names = codings.encode(np.array(words, np.str_))
        return codes[place], class_names
    try:
        return codings.encode(column.to_numpy())
    except InputError as error:
        raise InputError(f"data.label: column {name!r}: {error}") from None


def weights(table: Table, name: str) -> np.ndarray | None:
    """Row weights float64 [n]; None without any."""
    if not name:
        return None
    weight = _numbers(table, "data.weight", name)
    bad = np.flatnonzero(~(weight >= 0) | np.isinf(weight))
    if bad.size:
        raise InputError(
            f"data.weight: expected finite numbers >= 0. Received: {weight[bad[0]]:g} in "
            f"{table.place(int(bad[0]))}, column {name!r}."
        )
    return weight


def extra(table: Table, name: str) -> np.ndarray:
    """A column for groups, times or offsets [n], as NumPy has it; missing words are ''."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.columns[name]
    if pa.types.is_string(column.type):
        return np.array(pc.fill_null(column, "").to_pylist(), np.str_)
    return column.to_numpy()


def _numbers(table: Table, field: str, name: str) -> np.ndarray:
    """A column of numbers without gaps, float64 [n]."""
    column = table.columns[name]
    if values.type_of(column.type) not in ("integer", "number", "boolean"):
        raise InputError(f"{field}: expected numbers. Received: {column.type} in column {name!r}.")
    _check_known(column, table, field, name)
    return column.to_numpy().astype(np.float64)


def _check_known(column: pa.ChunkedArray, table: Table, field: str, name: str) -> None:
    """InputError where values are missing: how many, and where the first is."""
    import pyarrow.compute as pc

    missing = pc.is_null(column).to_numpy()
    if missing.any():
        raise InputError(
            f"{field}: expected a value in each row. Received: {int(missing.sum())} of {len(missing)} rows "
            f"without one in column {name!r}, the first is {table.place(int(missing.argmax()))}."
        )
