"""The SavedModel of a table takes raw columns and tf.Examples, in a process with TensorFlow alone."""

import json

import numpy as np
import pyarrow as pa
import pytest
import random_tables
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_logreg.export import saved_model
from tf_logreg.model.head import Head
from tf_logreg.tables import graph_inputs, schema_file
from tf_logreg.tables import schema as schemas
from tf_logreg.tables.inference import Rules, infer
from tf_logreg.tables.overrides import overrides
from tf_logreg.tables.table import plain

# No import of tf_logreg: what a user's server has.
FRESH = """
import json, sys
import numpy as np, tensorflow as tf
folder = sys.argv[1]
given = json.load(open(folder + "/rows.json"))
signatures = tf.saved_model.load(folder + "/export").signatures
names = {key: value.numpy() for key, value in signatures["schema"]().items()}
inputs = dict(zip([n.decode() for n in names["columns"]], [n.decode() for n in names["inputs"]]))
kinds = signatures["serving_default"].structured_input_signature[1]
columns = {inputs[name]: tf.constant(values, kinds[inputs[name]].dtype) for name, values in given.items()}
answer = {"selfcheck": bool(signatures["selfcheck"]()["ok"])}
for size in (0, 1, 1000):
    served = signatures["serving_default"](**{name: values[:size] for name, values in columns.items()})
    answer[size] = served["logits"].numpy().tolist()
    answer[f"classes {size}"] = [name.decode() for name in served["class_name"].numpy()]
    examples = []
    for row in range(size):
        feature = {}
        for name, values in given.items():
            if kinds[inputs[name]].dtype == tf.string:
                bytes_list = tf.train.BytesList(value=[values[row].encode()])
                feature[name] = tf.train.Feature(bytes_list=bytes_list)
            elif values[row] == values[row]:
                feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[values[row]]))
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        examples.append(example.SerializeToString())
    served = signatures["serving_examples"](examples=tf.constant(examples, tf.string))
    answer[f"examples {size}"] = served["logits"].numpy().tolist()
print(json.dumps(answer))
"""


def fitted(columns, asked=None, head=None, min_count=1):
    """A model of a table with random weights."""
    table = plain(pa.table(columns))
    rules = Rules(min_count=min_count, overrides=overrides(asked or {}, table.column_names))
    schema = infer(table, np.arange(len(table)) % 2, np.ones(len(table)), rules)
    return random_tables.model_of(schema, head or Head("sigmoid", 2), np.random.default_rng(0)), table


def loaded(model, folder):
    model.export(str(folder / "export"))
    return tf.saved_model.load(str(folder / "export"))


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def numbers(*values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def whole(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def test_a_process_with_tensorflow_alone_agrees(tmp_path, tensorflow_alone):
    random = np.random.default_rng(1)
    columns = {
        "hours-per-week": random.standard_normal(1000).astype(np.float32).astype(np.float64),
        "Größe": np.where(random.random(1000) < 0.2, np.nan, random.integers(0, 9, 1000) / 2),
        "word": random.choice(random_tables.WORDS, 1000),
        "text": [" ".join(random.choice(random_tables.WORDS, 3)) for _ in range(1000)],
    }
    columns["nul"] = [["a", "a\0", "a\0b", ""][k] for k in random.integers(0, 4, 1000)]
    model, table = fitted(columns, {"text": "text:50", "Größe": "bucketized:3"}, Head("softmax", 3))
    model.export(str(tmp_path / "export"))
    given = {
        name: list(map(str if name in ("word", "text", "nul") else float, values))
        for name, values in columns.items()
    }
    (tmp_path / "rows.json").write_text(json.dumps(given))
    answer = json.loads(tensorflow_alone.run(FRESH, str(tmp_path)).splitlines()[-1])
    assert answer["selfcheck"]
    for size in (0, 1, 1000):
        expected = model.logits(table.slice(0, size))
        for way in (str(size), f"examples {size}"):
            found = np.reshape(answer[way], (size, 3))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
        assert answer[f"classes {size}"] == model.predict(table.slice(0, size)).tolist()


def test_the_signatures_and_what_they_take(tmp_path):
    model, _ = fitted({"a": [0.5, 1, None] * 5, "b": [True, False, None] * 5, "unused": [1] * 15})
    signatures = loaded(model, tmp_path).signatures
    assert set(signatures) == {
        "serving_default", "serving_examples", "classify", "selfcheck", "names", "schema",
    }  # fmt: skip
    specs = signatures["serving_default"].structured_input_signature[1]
    assert {name: (spec.dtype, spec.shape.rank) for name, spec in specs.items()} == {
        "a": (tf.float64, 1),
        "b": (tf.string, 1),
    }
    assert [one.decode() for one in signatures["names"]()["feature_names"].numpy()] == list(
        model.feature_names
    )


def test_the_schema_is_in_it(tmp_path):
    model, _ = fitted({"a b": [0.5, 1, None] * 5, "w": ["ä", "b", ""] * 5})
    served = loaded(model, tmp_path)
    found = served.signatures["schema"]()
    text = found["schema"].numpy().decode()
    assert schema_file.of_json(json.loads(text), "export") == model.schema
    assert text == schema_file.text(model.schema) == served.schema.numpy().decode()
    assert found["columns"].numpy().tolist() == [b"a b", b"w"]
    assert found["inputs"].numpy().tolist() == [b"a_b", b"w"]


@pytest.mark.parametrize("name", ["kernel", "bias"])
def test_selfcheck_fails_after_a_weight_has_changed(tmp_path, name):
    model, _ = fitted({"a": [0.5, 1, None] * 5, "w": ["ash", "birch", ""] * 5})
    served = loaded(model, tmp_path)
    found = served.signatures["selfcheck"]()
    assert found["ok"]
    assert found["largest_difference"] <= 1e-14
    weights = getattr(served, name)
    before = weights.numpy()
    weights.assign(before + np.eye(len(before))[0].reshape(-1, *[1] * (before.ndim - 1)) / 10)
    found = served.signatures["selfcheck"]()
    assert not found["ok"]
    assert found["largest_difference"] > 1e-3
    weights.assign(before)
    assert served.signatures["selfcheck"]()["ok"]
    weights.assign(np.nextafter(before, 9))  # no answer tells
    found = served.signatures["selfcheck"]()
    assert not found["ok"]
    assert found["largest_difference"] <= 1e-9


def test_selfcheck_without_rows_and_with_a_row_without_an_answer():
    model, table = fitted({"a": [1e300, 1.0, -1e300] * 5})
    model.kernel[:] = 1e10
    module = saved_model.serving_module(model)
    assert np.isnan(model.predict_proba(table)[0]).all()
    assert module.selfcheck()["ok"]
    module.kernel.assign(module.kernel * 0)
    assert module.selfcheck()["largest_difference"] == np.inf
    bare = [schemas.Column(one.name, one.type, one.kind) for one in model.schema.columns]
    module = saved_model.serving_module(type(model)(**vars(model) | {"schema": schemas.Schema(tuple(bare))}))
    assert module.selfcheck()["ok"]
    assert module.selfcheck()["largest_difference"] == 0


def test_names_that_tensorflow_does_not_allow(tmp_path):
    expected = {
        "hours-per-week": "hours_per_week_2", "hours_per_week": "hours_per_week", "Größe": "Gr__e", "1st": "arg_1st",
        "class": "arg_class", "self": "arg_self", "": "arg_", "年": "arg__", "月": "arg___2", "a:0": "a_0", "Ab": "Ab",
        "ab": "ab_3", "ab_2": "ab_2", "inputs": "inputs", "kwargs": "kwargs",
    }  # fmt: skip
    random = np.random.default_rng(2)
    model, table = fitted({name: random.standard_normal(20) for name in expected})
    assert graph_inputs.input_names(model.schema) == expected
    served = loaded(model, tmp_path).signatures["serving_default"]
    found = served(**random_tables.inputs_of(model.schema, table))["logits"]
    np.testing.assert_allclose(found, model.logits(table), rtol=1e-12, atol=1e-13)
    bytes_ = (tmp_path / "export" / "saved_model.pb").read_bytes()
    definition = saved_model_pb2.SavedModel.FromString(bytes_).meta_graphs[0].signature_def["serving_default"]
    assert set(definition.inputs) == set(expected.values())


def test_python_calls_by_names_as_they_are_in_the_table(tmp_path):
    model, table = fitted({"hours-per-week": [0.5, 1.5] * 9, "capital gain": [1.0, 2.0, 4.0] * 6})
    served = loaded(model, tmp_path).signatures["serving_default"]
    given = {name: tf.constant(table[name].to_pylist(), tf.float64) for name in table.column_names}
    np.testing.assert_allclose(served(**given)["logits"], model.logits(table), rtol=1e-12)


def test_whole_numbers_beyond_float64_are_known_in_examples_alone():
    ids = [2**53 + 1, 2**53 + 2, 2**62 + 1, 1 - 2**63, 2**63 - 1, None]
    model, table = fitted({"id": ids * 3}, {"id": "categorical"})
    module = saved_model.serving_module(model)
    found = module.serve_examples(tf.constant(random_tables.examples_of(model.schema, table)))
    np.testing.assert_allclose(found["logits"], model.logits(table), rtol=1e-12)
    columns = module.serve({"id": tf.constant([2.0**53 + 2, 0.5, 2.0**62], tf.float64)})
    np.testing.assert_allclose(columns["logits"][:, 0], model.bias.repeat(3), rtol=1e-12)  # unseen levels
    assert module.selfcheck()["ok"]


def test_what_a_server_refuses():
    model, _ = fitted({"x": [0.5, 1.5, 2.5] * 5, "k": [1, 2, 3] * 5})
    module = saved_model.serving_module(model)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Shapes of all inputs must match"):
        module.serve({"x": tf.zeros(2, tf.float64), "k": tf.zeros(3, tf.float64)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected one value a column"):
        module.serve_examples(tf.constant([example(x=numbers(1, 2), k=whole(1))]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Data types don't match"):
        module.serve_examples(tf.constant([example(x=numbers(1), k=numbers(1))]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse example"):
        module.serve_examples(tf.constant([b"no example"]))


def test_columns_of_different_lengths_in_words_and_numbers():
    model, _ = fitted({"x": [0.5, 1.5, 2.5] * 5, "w": ["a", "b", "c"] * 5})
    module = saved_model.serving_module(model)
    for _ in range(200):  # the check comes first, each time: another operation was the one named in 3 of 100
        with pytest.raises(tf.errors.InvalidArgumentError, match="Expected columns of one length"):
            module.serve({"x": tf.zeros(1, tf.float64), "w": tf.constant(["a"] * 3)})


def test_other_keys_of_an_example_are_not_looked_at():
    model, _ = fitted({"x": [0.5, None, 2.5] * 5, "w": ["a", "b", None] * 5})
    found = saved_model.serving_module(model).serve_examples(tf.constant([example(y=whole(1, 2)), example()]))
    missing = plain(pa.table({"x": pa.array([None], pa.float64()), "w": pa.array([None], pa.string())}))
    np.testing.assert_allclose(found["logits"], model.logits(missing).repeat(2, axis=0), rtol=1e-12)
