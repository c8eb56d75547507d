"""The served graph and the host encode alike, whatever stands in a table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import random_tables
import tensorflow as tf

from tf_logreg.export import saved_model
from tf_logreg.model.head import Head
from tf_logreg.tables import encoding, graph_inputs, kinds, overrides
from tf_logreg.tables.inference import Rules, infer
from tf_logreg.tables.schema import Column, Cross, Schema
from tf_logreg.tables.table import plain


def scale_of(model, table):
    """The sum of what is added up to each logit, [n, m], by which rounding is measured."""
    features = encoding.encode(model.schema, table, sparse=True).astype(np.float64)
    return abs(features) @ abs(model.kernel) + abs(model.bias)


def in_float32(table, schema):
    """The table with numbers and days that tf.Examples hold."""
    columns = table
    for at, column in enumerate(schema.columns):
        if graph_inputs.example_type(column) == tf.float32 and column in schema.used:
            array = columns.column(at)
            if pa.types.is_timestamp(array.type):
                days = pc.floor(pc.divide(array.cast(pa.int64()).cast(pa.float64()), 86400e6))
                array = pc.multiply(days, 86400e6).cast(pa.int64()).cast(array.type)
            else:
                array = array.cast(pa.float32()).cast(pa.float64())
            columns = columns.set_column(at, column.name, array)
    return columns


def agrees(served, model, table):
    """Whether the outputs of a signature are what the host finds."""
    expected = model.logits(table)
    assert np.isfinite(expected).all()
    assert served["logits"].shape == expected.shape
    assert (abs(served["logits"].numpy() - expected) <= 1e-12 * scale_of(model, table)).all()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(table), atol=1e-9)
    assert [one.decode() for one in served["class_name"].numpy()] == model.predict(table).tolist()


@pytest.mark.parametrize(
    ("seed", "output", "classes"),
    [(0, "sigmoid", 2), (1, "softmax", 3), (2, "one_vs_rest", 3), (3, "softmax", 2)],
)
def test_the_graph_agrees_with_the_host(seed, output, classes):
    random = np.random.default_rng([seed, classes])
    schema = random_tables.schema_of(random_tables.table(random, 300), reference=seed % 2 == 1)
    assert {type(column.kind) for column in schema.columns} == set(kinds.KINDS.values())
    model = random_tables.model_of(schema, Head(output, classes), random)
    module = saved_model.serving_module(model)
    for size in (0, 1, 200):
        table = random_tables.table(random, size, unseen=size > 0)
        agrees(module.serve(random_tables.inputs_of(schema, table)), model, table)
        table = in_float32(table, schema)
        agrees(
            module.serve_examples(tf.constant(random_tables.examples_of(schema, table), tf.string)),
            model,
            table,
        )


def served_as_encoded(columns, asked=None, crossed="", **rules):
    """Whether a table is served as the host encodes it, by columns and by tf.Examples."""
    table = plain(pa.table(columns))
    names = table.column_names
    asked = overrides.overrides(asked or {}, names)
    rules = Rules(overrides=asked, crosses=overrides.crosses(crossed, names), **rules)
    schema = infer(table, np.arange(len(table)) % 2, np.ones(len(table)), rules)
    model = random_tables.model_of(schema, Head("sigmoid", 2), np.random.default_rng(0))
    module = saved_model.serving_module(model)
    agrees(module.serve(random_tables.inputs_of(schema, table)), model, table)
    return model, module, table


def test_words_with_the_joint_of_crosses_in_them():
    columns = {"v": ["a\x1fb", "a", "a", "b"] * 6, "w": ["c", "b\x1fc", "c", None] * 6}
    for crossed in ("v x w", "v x w:50"):
        model, module, table = served_as_encoded(columns, crossed=crossed)
        agrees(
            module.serve_examples(tf.constant(random_tables.examples_of(model.schema, table))), model, table
        )
    assert "v=a x w=b\x1fc" in served_as_encoded(columns, crossed="v x w")[0].feature_names


def test_numbers_beyond_float32():
    served_as_encoded({"x": [1e300, -1e300, 1e-300, 5.0, None, 3e38, 4e38] * 6})


def test_columns_without_levels_and_of_many():
    served_as_encoded({"w": [f"v{k}" for k in range(24)], "x": list(range(24))}, {"w": "categorical"})
    served_as_encoded({"w": [f"v{k}" for k in range(20_000)] * 2}, {"w": "categorical:30000"}, min_count=1)


def test_texts_of_all_scripts():
    texts = [
        "\u0130stanbul ISPARTA \u0131I",
        "ﬁne Straße STRASSE",
        "don't stop-me_now",
        "١٢٣ 3.14",
        "  \t\n ",
        "e\u0301te\0x",
    ]
    served_as_encoded({"w": texts * 4}, {"w": "text:100000"})


def test_what_people_edit_into_a_schema():
    """Booleans as numbers, numbers as levels, a cross of columns that are ignored."""
    columns = (
        Column("b", "boolean", kinds.Numeric(0.25, True), examples=("true", None, "false")),
        Column("f", "number", kinds.Categorical(("1", "-2"), True, False, 0), examples=(1.0, None, 0.5)),
        Column("v", "word", kinds.Ignored(), examples=("x", "y", 3)),
        Column("n", "integer", kinds.Ignored(), examples=(7.0, None, 8.0)),
    )
    cross = Cross(("v", "n"), kinds.Categorical(("x\x1f7", "\x1f", "y\x1f"), True))
    schema = Schema(columns, (cross, Cross(("b", "n"), kinds.Hashed(1000))))
    model = random_tables.model_of(schema, Head("sigmoid", 2), np.random.default_rng(0))
    table = plain(
        pa.table({
            "b": [True, None, False, True], "f": [1.0, None, -2.0, 3.0], "v": ["x", None, "y", "z"],
            "n": [7, None, None, 9],
        })
    )  # fmt: skip
    given = random_tables.inputs_of(schema, table.set_column(0, "b", table["b"].cast(pa.int64())))
    agrees(saved_model.serving_module(model).serve(given), model, table)
