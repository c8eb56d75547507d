"""The SavedModel of a run on sparse rows takes ids and values, in a process with TensorFlow alone."""

import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from problems import sparse_rows

from tf_logreg.model.head import Head
from tf_logreg.model.model import MOST_LAID_OUT, Model, default_names

FRESH = """
import sys
import numpy as np, tensorflow as tf
folder = sys.argv[1]
rows = np.load(folder + "/rows.npz")
signatures = tf.saved_model.load(folder + "/export").signatures
served = signatures["serving_default"](ids=tf.constant(rows["ids"]), values=tf.constant(rows["values"]))
dense = signatures["dense"](features=tf.constant(rows["dense"]))
for name, answer in (("served", served), ("dense", dense)):
    arrays = {key: value.numpy() for key, value in answer.items()}
    arrays["class_name"] = arrays["class_name"].astype("S")
    np.savez(f"{folder}/{name}.npz", **arrays)
"""


def model_of(output="softmax", classes=3, features=50, dtype="float32"):
    head, random = Head(output, classes), np.random.default_rng(0)
    kernel, bias = random.standard_normal((features, head.outputs)), random.standard_normal(head.outputs)
    names = ("ash", "birch", "cedar")[:classes]
    return Model(kernel, bias, default_names(features), names, head, dtype=dtype, sparse=True)


def padded(x: scipy.sparse.csr_array, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """ids [B, m] and values [B, m] of some rows, padded with -1; what stands beside a -1 is no matter."""
    counts = np.diff(x.indptr)
    inside = np.arange(counts.max()) < counts[:, None]
    ids, values = np.full(inside.shape, -1), np.full(inside.shape, 7, dtype)
    ids[inside], values[inside] = x.indices, x.data
    return ids, values


def served_by(model, folder, ids, values, signature="serving_default"):
    model.export(f"{folder}/export")
    serve = tf.saved_model.load(f"{folder}/export").signatures[signature]
    found = serve(ids=tf.constant(ids, tf.int64), values=tf.constant(values, model.dtype))
    return {name: value.numpy() for name, value in found.items()}


def test_a_process_with_tensorflow_alone_agrees(tmp_path, tensorflow_alone):
    model = model_of()
    x = sparse_rows(np.random.default_rng(1), 200, 50, 0.1)
    ids, values = padded(x, "float32")
    model.export(str(tmp_path / "export"))
    np.savez(tmp_path / "rows.npz", ids=ids, values=values, dense=x.toarray().astype(np.float32))
    tensorflow_alone.run(FRESH, str(tmp_path))
    for file in ("served.npz", "dense.npz"):
        with np.load(tmp_path / file) as served:
            np.testing.assert_allclose(served["probabilities"], model.predict_proba(x), atol=1e-6)
            assert [name.decode() for name in served["class_name"]] == model.predict(x).tolist()


@pytest.mark.parametrize(("output", "classes"), [("sigmoid", 2), ("softmax", 2), ("one_vs_rest", 3)])
def test_each_output_in_float64(tmp_path, output, classes):
    model = model_of(output, classes, dtype="float64")
    x = sparse_rows(np.random.default_rng(1), 20, 50, 0.2)
    found = served_by(model, tmp_path, *padded(x, "float64"))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(x), atol=1e-14)
    assert found["logits"].shape == (20, model.head.outputs)


def test_ids_that_are_no_column_add_nothing(tmp_path):
    model = model_of()
    ids = [[3, -1, -1], [3, 50, 2**40], [-5, 3, -1], [-1, -1, -1]]
    values = [[2, 1, 1], [2, 1, 1], [1, 2, np.nan], [1, 1, 1]]
    logits = served_by(model, tmp_path, ids, values)["logits"]
    own = (2 * model.kernel[3] + model.bias).astype(np.float32)
    np.testing.assert_allclose(logits, [own, own, own, model.bias], rtol=1e-6)


def test_values_of_one_id_are_added_in_any_order(tmp_path):
    model = model_of()
    logits = served_by(model, tmp_path, [[9, 3, 9]], [[1, 1, 2]])["logits"]
    np.testing.assert_allclose(logits[0], 3 * model.kernel[9] + model.kernel[3] + model.bias, rtol=1e-5)


def test_a_row_with_a_gap_has_no_answer_and_its_neighbours_have_theirs(tmp_path):
    found = served_by(model_of(), tmp_path, [[1], [2], [3]], [[1.0], [np.nan], [np.inf]])
    assert np.isnan(found["probabilities"]).all(axis=1).tolist() == [False, True, True]
    assert found["class_id"].tolist()[1:] == [-1, -1]
    assert found["class_name"].tolist()[1:] == [b"", b""]


def test_no_rows_and_rows_without_values(tmp_path):
    model = model_of()
    assert served_by(model, tmp_path, np.zeros((0, 4)), np.zeros((0, 4)))["probabilities"].shape == (0, 3)
    logits = served_by(model, tmp_path, np.zeros((2, 0)), np.zeros((2, 0)))["logits"]
    np.testing.assert_allclose(logits, [model.bias, model.bias], rtol=1e-6)


def test_above_100_000_features_there_is_no_dense_signature(tmp_path):
    for features, expected in ((MOST_LAID_OUT, {"serving_default", "dense", "names"}),
                               (MOST_LAID_OUT + 1, {"serving_default", "names"})):  # fmt: skip
        model_of(features=features).export(str(tmp_path / "export"))
        signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
        assert set(signatures) == expected
        assert len(signatures["names"]()["feature_names"]) == features
