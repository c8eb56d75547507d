"""Schemas of small tables."""

import numpy as np
import pyarrow as pa

from tf_logreg.tables import overrides
from tf_logreg.tables.inference import Rules, infer
from tf_logreg.tables.overrides import parse
from tf_logreg.tables.table import plain

N = 200
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, N)


def schema_of(columns, y=None, weight=None, **rules):
    table = plain(pa.table(columns))
    y = np.resize(Y, len(table)) if y is None else y
    return infer(table, y, np.ones(len(y)) if weight is None else weight, Rules(**rules))


def all_kinds():
    """A schema with each kind of column."""
    columns = {
        "age": pa.array([None] * 6 + list(range(N - 6))),
        "income": RNG.exponential(size=N),
        "size": RNG.normal(size=N),
        "city": [f"c{k}" for k in RNG.integers(0, 5, N)],
        "zip": [f"z{k}" for k in RNG.integers(0, 50, N)],
        "said": ["a word or two"] * N,
        "day": np.arange(N).astype("datetime64[D]"),
        "id": [f"id{k}" for k in range(N)],
    }
    asked = {"income": "log1p", "size": "bucketized:3", "zip": "hashed:10", "said": "text:20", "day": "date"}
    rules = {"overrides": {name: parse(text, name) for name, text in asked.items()}}
    crosses = overrides.crosses("city x zip:10, city x age", columns)
    return schema_of(columns, crosses=crosses, **rules)
