"""The served graph and the host encode alike, whatever stands in a table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import random_tables
import tensorflow as tf

from tf_logreg.export import saved_model
from tf_logreg.model.head import Head
from tf_logreg.tables import encoding, graph, kinds


def scale_of(model, table):
    """The sum of what is added up to each logit, [n, m], by which rounding is measured."""
    features = encoding.encode(model.schema, table, sparse=True).astype(np.float64)
    return abs(features) @ abs(model.kernel) + abs(model.bias)


def in_float32(table, schema):
    """The table with numbers and days that tf.Examples hold."""
    columns = table
    for at, column in enumerate(schema.columns):
        if graph.example_type(column) == tf.float32 and column in schema.used:
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
