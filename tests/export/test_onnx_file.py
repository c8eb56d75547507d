"""`model.onnx`: what it takes and says of itself, sparse rows, and a missing package."""

import importlib.util
import json

import numpy as np
import onnxruntime
import pytest
import scipy.sparse
from served import dense

from tf_logreg.errors import InputError
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model, default_names
from tf_logreg.tables import graph_inputs


def session_of(model, folder):
    model.export(str(folder / "model.onnx"), format="onnx")
    return onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def test_inputs_and_outputs_of_a_table(every_kind, tmp_path):
    model, _ = every_kind
    session = session_of(model, tmp_path)
    inputs = {one.name: (one.type, len(one.shape)) for one in session.get_inputs()}
    assert inputs["number"] == ("tensor(double)", 1)
    assert inputs["word"] == ("tensor(string)", 1)
    assert inputs["hash_bucket"] == inputs["hash_x_code_bucket"] == ("tensor(int64)", 1)
    assert inputs["say_buckets"] == ("tensor(int64)", 2)
    assert set(inputs) - set(graph_inputs.input_names(model.schema).values()) == {
        "hash_bucket", "id_bucket", "numbers_buckets", "say_buckets", "hash_x_code_bucket", "id_x_flag_bucket",
    }  # fmt: skip
    outputs = {one.name: (one.type, one.shape) for one in session.get_outputs()}
    assert outputs == {
        "logits": ("tensor(double)", ["N", 3]),
        "probabilities": ("tensor(double)", ["N", 3]),
        "class_id": ("tensor(int64)", ["N"]),
        "class_name": ("tensor(string)", ["N"]),
    }
    said = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert said["class_names"] == list(model.class_names)
    assert said["feature_names"] == list(model.feature_names)
    assert said["threshold"] is None
    assert [one["name"] for one in said["schema"]["columns"]] == [one.name for one in model.schema.columns]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_are_of_the_models_type_and_may_be_empty(dtype, tmp_path):
    model = Model(**vars(dense("softmax", 4)[0]) | {"dtype": dtype})
    session = session_of(model, tmp_path)
    logits, probabilities, ids, names = session.run(None, {"features": np.zeros((0, 20), dtype)})
    assert logits.dtype == probabilities.dtype == dtype
    assert (logits.shape, ids.shape, names.shape) == ((0, 4), (0,), (0,))


def test_sparse_rows(tmp_path):
    random = np.random.default_rng(0)
    kernel = random.normal(size=(9, 3))
    model = Model(kernel, np.arange(3.0), default_names(9), ("a", "b", "c"), Head("softmax", 3), sparse=True)
    # Padding, columns that the model does not have, and the same column twice.
    ids = np.array([[0, 8, -1], [-1, -1, -1], [9, 2, 2**40], [4, 4, 1]])
    values = np.array([[1, 2, 5], [1, 1, 1], [7, -1, np.nan], [0.5, 1, 3]], np.float32)
    found = session_of(model, tmp_path).run(["probabilities"], {"ids": ids, "values": values})[0]
    known = (ids >= 0) & (ids < 9)
    at = np.nonzero(known)
    rows = scipy.sparse.coo_array((values[known], (at[0], ids[known])), shape=(4, 9))
    np.testing.assert_allclose(found, model.predict_proba(rows.tocsr()), atol=1e-6)


def test_a_missing_package_names_the_pip_line(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"package onnx.*not installed; install it with pip install 'tf_logreg\[onnx\]'"
    ):
        dense("sigmoid", 2)[0].export(str(tmp_path / "model.onnx"), format="onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_the_command_line_says_so_too(bought, command, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, out, said = command("--mode=export", f"--workdir={bought[0]}", "--format=onnx")
    assert (code, out) == (2, "")
    assert "package onnx" in said
    assert "pip install onnx" in said
