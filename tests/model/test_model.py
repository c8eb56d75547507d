"""A fitted model predicts as scikit-learn's does, and as its own Keras model and SavedModel do."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict
from problems import random_problem
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from tf_logreg import storage
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.model import coefficients
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.results import measurement, workdir

NAMES = ("ash", "birch", "cedar")


def of_sklearn(output, classes):
    """Rows, a model with scikit-learn's weights, and scikit-learn's own."""
    x, y, _ = random_problem(200, 4, classes)
    peer = (
        LogisticRegression().fit(x, y)
        if output != "one_vs_rest"
        else OneVsRestClassifier(LogisticRegression())
    )
    if output == "one_vs_rest":
        peer.fit(x, y)
        kernel = np.hstack([one.coef_.T for one in peer.estimators_])
        bias = np.concatenate([one.intercept_ for one in peer.estimators_])
    else:
        kernel, bias = peer.coef_.T, peer.intercept_
    columns = tuple(f"x{j}" for j in range(4))
    return x, Model(kernel, bias, columns, NAMES[:classes], Head(output, classes), dtype="float64"), peer


@pytest.fixture(params=[("sigmoid", 2), ("softmax", 3), ("one_vs_rest", 3)], ids=lambda param: param[0])
def fitted(request):
    return of_sklearn(*request.param)


def test_a_bound_on_errors_stands_beside_each_coefficient():
    model = Model(np.eye(3, 1), np.ones(1), ("a", "b", "c"), ("x", "y"), Head("sigmoid", 2))
    assert "error_bound" not in model.coefficients()
    bound = np.array([[1e-9], [np.inf], [1e-3], [2e-9]])
    found = dataclasses.replace(model, error_bound=bound).coefficients()
    np.testing.assert_array_equal(found["error_bound"], [1e-9, np.nan, 1e-3, 2e-9])


def test_predictions_are_scikit_learns(fitted):
    x, model, peer = fitted
    np.testing.assert_allclose(model.decision_function(x), peer.decision_function(x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(model.predict_proba(x), peer.predict_proba(x), rtol=1e-12)
    assert model.predict(x).tolist() == [NAMES[k] for k in peer.predict(x)]


def test_keras_and_the_saved_model_say_the_same(fitted, tmp_path):
    x, model, _ = fitted
    expected = model.predict_proba(x)
    found = np.asarray(model.to_keras()(x))
    np.testing.assert_allclose(found, expected[:, 1:] if model.head.outputs == 1 else expected, atol=1e-12)
    model.export(str(tmp_path / "export"))
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"](
        features=tf.constant(x)
    )
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-12)
    assert [name.decode() for name in served["class_name"].numpy()] == model.predict(x).tolist()


def test_a_row_with_a_gap_has_no_answer(fitted):
    x, model, _ = fitted
    for bad in (np.nan, np.inf, -np.inf):
        rows = x[:3].copy()
        rows[1, 2] = bad
        assert np.isnan(model.predict_proba(rows)).all(axis=1).tolist() == [False, True, False]
        assert (model.predict(rows) == "").tolist() == [False, True, False]


def test_probabilities_are_finite_for_logits_of_any_size(fitted):
    _, model, _ = fitted
    found = model.head.probabilities(
        np.outer([1e300, -1e300, 1e4, -1e4], np.arange(1, model.head.outputs + 1))
    )
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros(4), r"x: expected \[n, 4\], a column a feature. Received: shape \(4,\)"),
        (np.zeros((2, 3)), r"Received: shape \(2, 3\)"),
        ([["a"] * 4], r"x: expected real numbers \[n, 4\]"),
    ],
)
def test_other_rows_are_refused(fitted, x, said):
    with pytest.raises(InputError, match=said):
        fitted[1].predict(x)


def test_coefficients_are_a_table(fitted):
    _, model, _ = fitted
    table = model.coefficients()
    outputs = NAMES[1:2] if model.head.outputs == 1 else NAMES
    rows = list(zip(table["feature"], table["class"], strict=True))
    assert rows == [(name, cls) for name in (*model.feature_names, "(bias)") for cls in outputs]
    weights = np.vstack([model.kernel, model.bias])
    np.testing.assert_array_equal(np.reshape(table["coefficient"], weights.shape), weights)


def test_a_run_is_loaded_and_predicts_without_tensorflow(digits_run):
    folder, result = digits_run
    model = workdir.load(folder)
    assert len(model.class_names) == result["num_classes"]
    done = subprocess.run(
        [sys.executable, "-c", LOADED, folder], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout.split() == ["(1,", "10)", "[]"]


LOADED = """
import sys
from tf_logreg.results import workdir
from tf_logreg.fit import learn
print(workdir.load(sys.argv[1]).predict_proba([[0.0] * 64]).shape)
print([name for name in sys.modules if name in ("tensorflow", "keras")])
"""


def test_no_run_is_no_model(tmp_path):
    with pytest.raises(InputError, match="workdir: expected a finished run"):
        workdir.load(str(tmp_path))


TWO = [("sigmoid", "float32"), ("softmax", "float64"), ("one_vs_rest", "float64")]


@pytest.mark.parametrize(("output", "dtype"), TWO, ids=lambda param: param)
def test_a_threshold_decides_everywhere(output, dtype, tmp_path):
    """`predict`, the SavedModel, and the metrics of rows: class 1 where it is more probable than that."""
    x, model, _ = of_two(output, dtype)
    plain = model.predict(x)
    assert (dataclasses.replace(model, threshold=0.5).predict(x) == plain).all()
    model = dataclasses.replace(model, threshold=0.8)
    expected = (model.predict_proba(x)[:, 1] > 0.8).astype(int)
    assert 0 < expected.sum() < (plain == NAMES[1]).sum()
    assert (model.predict(x) == np.array(NAMES)[expected]).all()
    model.export(str(tmp_path / "export"))
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    served = signatures["serving_default"](features=tf.constant(x, dtype))
    assert served["class_id"].numpy().tolist() == expected.tolist()
    assert served["class_name"].numpy().tolist() == [NAMES[k].encode() for k in expected]
    assert signatures["names"]()["threshold"].numpy() == 0.8
    source, y = from_arrays(x, expected, class_names=NAMES[:2]), expected
    options = ConfigDict({"max_rows": 1000, "max_bytes": 2**20})
    found, _ = measurement.evaluate_model(options, model, source, {"test": np.arange(len(y))}, Devices(None))
    assert found["test"]["accuracy"] == 1
    assert found["test"]["per_class"]["precision"] == [1, 1]
    assert found["test"]["expected_calibration_error"] > 0.01  # of the most probable class, as ever


def of_two(output, dtype):
    """Rows in `dtype`, and a model of two classes in it."""
    x, y, _ = random_problem(200, 4, 2)
    outputs = Head(output, 2).outputs
    rng = np.random.default_rng(1)
    columns = tuple(f"x{j}" for j in range(4))
    kernel = rng.normal(size=(4, outputs))
    return (
        x.astype(dtype),
        Model(kernel, rng.normal(size=outputs), columns, NAMES[:2], Head(output, 2), dtype=dtype),
        y,
    )


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_ends_of_a_threshold_call_all_rows_and_none(threshold):
    x, model, _ = of_two("sigmoid", "float64")
    model = dataclasses.replace(model, threshold=threshold)
    assert set(model.predict(x)) == {NAMES[threshold == 0]}
    assert model.predict(np.full((1, 4), np.nan)).tolist() == [""]


def test_a_model_without_a_bias_is_one_when_read_back(tmp_path):
    _, model, _ = of_two("sigmoid", "float64")
    model = dataclasses.replace(model, bias=np.zeros(1))
    folder = storage.Folder(str(tmp_path), "--workdir")
    for has_bias in (False, True):
        coefficients.write(folder, dataclasses.replace(model, has_bias=has_bias))
        assert coefficients.read(folder).has_bias == has_bias
    kept = folder.read_arrays("coefficients.npz")
    folder.write_arrays("coefficients.npz", kept | {"has_bias": np.array([True])})
    with pytest.raises(InputError, match="its 'has_bias' is of shape"):
        coefficients.read(folder)
    folder.write_arrays("coefficients.npz", kept | {"error_bound": np.zeros((4, 1))})
    with pytest.raises(InputError, match="its 'error_bound' is of shape"):
        coefficients.read(folder)
    del kept["has_bias"]  # as earlier versions wrote it
    folder.write_arrays("coefficients.npz", kept)
    assert not coefficients.read(folder).has_bias


def test_a_threshold_is_kept_in_the_file(tmp_path):
    _, model, _ = of_two("sigmoid", "float64")
    folder = storage.Folder(str(tmp_path), "--workdir")
    for threshold in (None, 0.25):
        coefficients.write(folder, dataclasses.replace(model, threshold=threshold))
        assert coefficients.read(folder).threshold == threshold
    kept = folder.read_arrays("coefficients.npz")
    for wrong, message in (
        (np.array(1.5), "its 'threshold' is"),
        (np.array([0.5]), "its 'threshold' is"),
        (np.array("0.5"), "its 'threshold' is"),
    ):
        folder.write_arrays("coefficients.npz", kept | {"threshold": wrong})
        with pytest.raises(InputError, match=message):
            coefficients.read(folder)
    three = of_sklearn("softmax", 3)[1]
    coefficients.write(folder, dataclasses.replace(three, threshold=0.5))
    with pytest.raises(InputError, match="it has a threshold beside 3 classes"):
        coefficients.read(folder)
