"""A fitted model predicts as scikit-learn's does, and as its own Keras model and SavedModel do."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from problems import random_problem
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from tf_logreg.errors import InputError
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.results import workdir

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
