"""Tables of every type of column and models of random weights, for what encodes and serves them."""

import datetime

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.tables import graph_inputs
from tf_logreg.tables.inference import Rules, infer
from tf_logreg.tables.overrides import crosses, overrides
from tf_logreg.tables.schema import Schema
from tf_logreg.tables.table import plain

WORDS = ("ash", "Birch", "Größe", "日本", "a b", "ß", "true", "12", "\U0001f600", "e\u0301", "x\ny", " ")
KINDS = {
    "log": "log1p", "bucket": "bucketized:4", "code": "categorical", "id": "hashed:7", "numbers": "text:16", "hash": "hashed:5", "level": "categorical:3", "say": "text:32", "day": "date", "time": "date",
}  # fmt: skip
CROSSES = "word x flag, code x word, hash x code:11, id x flag:5, level x level"


def table(random: np.random.Generator, size: int, *, unseen: bool = False) -> pa.Table:
    """A table of all types; `unseen` values are in no other one."""
    words = (*WORDS, *[f"new {k}" for k in range(4)]) if unseen else WORDS
    far = 10.0 ** random.integers(-30, 30, size) if unseen else 1.0
    start = datetime.datetime(1931, 1, 1)
    micros = random.integers(0, 10**16, size)
    columns = {
        "number": random.standard_normal(size) * far,
        "log": random.exponential(size=size) * 100 - (2 if unseen else 0),
        "bucket": random.integers(-3, 3, size) / 2,
        "count": random.integers(-(2**40), 2**40, size),
        "huge": random.integers(-(2**62), 2**62, size),
        "code": random.integers(-2, 6 if unseen else 4, size),
        "id": random.integers(-(2**53), 2**53, size),
        "numbers": random.integers(0, 50, size),
        "two": random.integers(0, 2, size),
        "word": random.choice(words, size),
        "hash": random.choice(words, size),
        "level": random.choice(words, size),
        "flag": random.random(size) < 0.4,
        "say": [" ".join(random.choice(words, random.integers(0, 6))) for _ in range(size)],
        "day": [(start + datetime.timedelta(days=int(k))).date() for k in random.integers(0, 40_000, size)],
        "time": [start + datetime.timedelta(microseconds=int(k)) for k in micros],
        "none": random.random(size),
    }
    arrays = {}
    for name, values in columns.items():
        gap = random.random(size) < (0 if name in ("count", "none") else random.choice([0, 0.01, 0.3]))
        values = [None if one else value for one, value in zip(gap, list(values), strict=True)]
        if name in ("number", "log", "bucket") and size > 20:
            values[3:6] = [np.nan, np.inf, -np.inf]
        if name in ("word", "hash", "level", "say") and size > 20:
            values[7:9] = ["", ""]
        arrays[name] = pa.array(values, from_pandas=True) if size else pa.array(values, _types(name))
    return plain(pa.table(arrays))


def _types(name: str) -> pa.DataType:
    """The type of an empty column."""
    if name in ("number", "log", "bucket", "none"):
        return pa.float64()
    if name in ("word", "hash", "level", "say"):
        return pa.string()
    return {"flag": pa.bool_(), "day": pa.timestamp("us"), "time": pa.timestamp("us")}.get(name, pa.int64())


def schema_of(found: pa.Table, *, reference: bool = False) -> Schema:
    """The schema of a table, every kind in it."""
    names = found.column_names
    asked = Rules(
        with_reference=reference,
        overrides=overrides({**KINDS, "none": "ignore"}, names),
        crosses=crosses(CROSSES, names),
    )
    return infer(found, np.arange(len(found)) % 2, np.ones(len(found)), asked)


def model_of(schema: Schema, head: Head, random: np.random.Generator) -> Model:
    """A model of random weights, small for numbers that are large."""
    kernel = random.standard_normal((len(schema.feature_names), head.outputs))
    for at, name in enumerate(schema.feature_names):
        kernel[at] *= {"count": 2.0**-40, "huge": 2.0**-62, "day (days)": 1e-4, "time (days)": 1e-4}.get(
            name, 1
        )
    names = ("no", "yes", "perhaps")[: head.num_classes]
    return Model(
        kernel, random.standard_normal(head.outputs), schema.feature_names, names, head, schema=schema
    )


def values_of(schema: Schema, found: pa.Table) -> dict[str, list]:
    """By used column the values as a server is given them, None where missing: numbers, text, days of dates."""
    columns = {}
    for column in schema.used:
        array = found[column.name]
        if pa.types.is_timestamp(array.type):
            days = [one and one / 1e6 / 86_400 for one in array.cast(pa.int64()).to_pylist()]
            columns[column.name] = days
        else:
            values = array.to_pylist()
            columns[column.name] = [str(v).lower() if isinstance(v, bool) else v for v in values]
    return columns


def inputs_of(schema: Schema, found: pa.Table) -> dict[str, tf.Tensor]:
    """What `serving_default` is given, by the names of its inputs."""
    names, given = graph_inputs.input_names(schema), {}
    for name, values in values_of(schema, found).items():
        spec = graph_inputs.specs(schema)[names[name]]
        missing = "" if spec.dtype == tf.string else np.nan
        values = [missing if value is None else value for value in values]
        given[names[name]] = tf.constant(values, spec.dtype)
    return given


def examples_of(schema: Schema, found: pa.Table) -> list[bytes]:
    """The rows as serialized tf.Examples: without the keys of missing values, or with empty lists."""
    columns, rows = values_of(schema, found), []
    for row in range(len(found)):
        feature = {}
        for column in schema.used:
            value = columns[column.name][row]
            given = [] if value is None else [value]
            if not given and row % 2:
                continue
            feature[column.name] = {
                tf.int64: lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=v)),
                tf.float32: lambda v: tf.train.Feature(float_list=tf.train.FloatList(value=v)),
                tf.string: lambda v: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[one.encode() for one in v])
                ),
            }[graph_inputs.example_type(column)](given)
        rows.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return rows
