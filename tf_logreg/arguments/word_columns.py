"""A frame with columns of words, as an estimator is given it -> numbers, by a schema that is kept."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np

from tf_logreg.arguments import inputs
from tf_logreg.data.source import Source
from tf_logreg.errors import InputError
from tf_logreg.model.model import Model
from tf_logreg.tables import encoding, frames, inference, kinds, leaks, values
from tf_logreg.tables.schema import Schema


def encoded(estimator: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Schema | None]:
    """X as `fit` takes it, and how it was made.

    Args:
        estimator: its C and categorical_features are read.
        x, y, sample_weight: as `fit` has them.

    Returns:
        x as it is and None, where it is no frame or has only numbers; else features [n, p] and their schema.

    Raises:
        InputError: columns that cannot be used, or lengths that differ.
    """
    if estimator.categorical_features is None or not has_words(x):
        return x, None
    table = frames.table_of(x, "X").columns
    if not len(table):
        raise InputError("X: expected rows. Received: none.")
    labels = inputs.encode(np.asarray(y).ravel())
    weight = np.ones(len(labels.y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weight.ndim == 0:  # scikit-learn takes one number for all rows
        weight = np.full(len(labels.y), weight)
    if not len(table) == len(labels.y) == len(weight):
        raise InputError(
            f"y, sample_weight: expected {len(table)} values, one a row of X. "
            f"Received: {len(labels.y)}, {len(weight)}."
        )
    rules = inference.Rules(with_reference=bool(np.isinf(estimator.C)))
    schema = inference.infer(table, labels.y, weight, rules)
    ignored = [c for c in schema.columns if isinstance(c.kind, kinds.Ignored)]
    if ignored:
        reasons = ", ".join(f"{column.name!r} ({column.kind.why})" for column in ignored)
        warnings.warn(f"X: columns that are left out: {reasons}.", UserWarning, stacklevel=4)
    if told := leaks.said(schema.columns):
        warnings.warn(f"X: {'; '.join(told)}.", UserWarning, stacklevel=4)
    return encoding.encode(schema, table), schema


def refuse_words(x: Any) -> None:
    """InputError for a frame with a column of words, where they cannot be taken."""
    if not has_words(x):
        return
    schema = frames.table_of(x, "X").columns.schema
    word = next((field.name for field in schema if values.type_of(field.type) == "word"), None)
    if word is not None:
        raise InputError(
            f"X: expected numbers. Received: words in column {word!r}. LogisticRegression takes frames with "
            "words, and tf_logreg.train chooses their penalty by folds."
        )


def has_words(x: Any) -> bool:
    """Whether it is a frame with a column that is not of numbers."""
    if not frames.is_frame(x):
        return False
    if hasattr(x, "dtypes") and hasattr(x, "iloc"):  # pandas: no column is copied to find out
        return any(getattr(dtype, "kind", "O") not in "biufc" for dtype in x.dtypes)
    types = frames.table_of(x, "X").columns.schema.types
    return any(values.type_of(one) not in ("integer", "number", "boolean") for one in types)


def named(estimator: Any, source: Source, schema: Schema | None) -> Source:
    """The rows of a fit with the names of their features; sets what scikit-learn asks of X's own columns."""
    if schema is None:
        vars(estimator).pop("schema_", None)
        return source
    estimator.schema_ = schema
    estimator.feature_names_in_ = np.array([column.name for column in schema.columns], object)
    estimator.n_features_in_ = len(schema.columns)
    return dataclasses.replace(source, feature_names=schema.feature_names, schema=schema)


def features(model: Model, x: Any) -> Any:
    """Features [n, p] of rows to predict.

    Raises:
        InputError: no frame, a column is missing, or has values of another type than in `fit`.
    """
    if not frames.is_frame(x):
        raise InputError(f"X: expected a frame with the columns of fit. Received: {type(x).__name__}.")
    return model.encode(x)
