"""`model.tflite`: what it says of itself, columns far from zero, and what float32 cannot tell apart."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from served import by_tflite, dense

from tf_logreg.errors import InputError
from tf_logreg.export import tflite_file
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model, default_names
from tf_logreg.tables import kinds, schema_file
from tf_logreg.tables.schema import Column, Cross, Schema


def of_kinds(*columns, crosses=()):
    schema = Schema(columns, crosses)
    names = schema.feature_names
    return Model(np.ones((len(names), 1)), np.zeros(1), names, ("a", "b"), Head("sigmoid", 2), schema=schema)


def test_names_are_in_an_archive_behind_the_model(bought, tmp_path):
    _, model, rows = bought
    model = dataclasses.replace(model, threshold=0.25)
    by_tflite(model, rows.slice(0, 1), tmp_path)
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        said = json.loads(archive.read(tflite_file.ABOUT))
    assert said["class_names"] == list(model.class_names)
    assert said["feature_names"] == list(model.feature_names)
    assert (said["threshold"], said["label"]) == (0.25, "bought")
    assert schema_file.of_json(said["schema"], "") == model.schema


def test_features_far_from_zero(tmp_path):
    """A coefficient of 1 times 262,144 in float32 would lose what is behind the point."""
    model, _ = dense("softmax", 4)
    mean = np.full(20, 2.0**18)
    model = dataclasses.replace(
        model, bias=model.bias - mean @ model.kernel, mean=mean, deviation=np.ones(20)
    )
    rows = mean + np.random.default_rng(0).integers(-16, 17, (50, 20)) / 16
    probabilities, _ = by_tflite(model, rows, tmp_path)
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), atol=1e-5)


def test_sparse_rows_with_padding_and_unknown_ids(tmp_path):
    random = np.random.default_rng(0)
    model = Model(
        random.normal(size=(9, 3)),
        np.arange(3.0),
        default_names(9),
        ("a", "b", "c"),
        Head("softmax", 3),
        sparse=True,
    )
    model.export(str(tmp_path / "model.tflite"), format="tflite")
    run = Interpreter(str(tmp_path / "model.tflite")).get_signature_runner("serving_default")
    ids = np.array([[0, 8, -1], [-1, -1, -1], [9, 2, 2**40]])
    values = np.array([[1, 2, 5], [1, 1, 1], [7, -1, np.nan]], np.float32)
    rows = np.zeros((3, 9))
    rows[0, [0, 8]], rows[2, 2] = (1, 2), -1
    np.testing.assert_allclose(
        run(ids=ids, values=values)["probabilities"], model.predict_proba(rows), atol=1e-6
    )


def test_codes_and_crosses_that_do_not_fit(tmp_path):
    path = str(tmp_path / "model.tflite")
    codes = of_kinds(Column("id", "integer", kinds.Categorical(("7", "16777217"))))
    with pytest.raises(
        InputError, match=r"codes up to 16777216 for 'tflite'.* Received: 16777217 in column 'id'"
    ):
        codes.export(path, format="tflite")
    words = Column("a", "word", kinds.Ignored()), Column("b", "word", kinds.Ignored())
    pairs = tuple(f"{k}{kinds.JOINT}{k}" for k in range(2100))
    with pytest.raises(
        InputError, match=r"up to 4194304 pairs for 'tflite'.* Received: 2101 times 2101 of 'a x b'"
    ):
        of_kinds(*words, crosses=(Cross(("a", "b"), kinds.Categorical(pairs)),)).export(path, format="tflite")


def test_a_tensorflow_without_a_converter(tmp_path, monkeypatch):
    monkeypatch.delattr(tf.lite, "TFLiteConverter")
    with pytest.raises(
        InputError, match=r"expected a TensorFlow with tf.lite for 'tflite'.* pip install 'tensorflow<2.22'"
    ):
        dense("sigmoid", 2)[0].export(str(tmp_path / "model.tflite"), format="tflite")
