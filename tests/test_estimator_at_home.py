"""`LogisticRegression` among scikit-learn's own: clones, pickles, searches, routing, warnings, and no TensorFlow."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tf_logreg import LogisticRegression

X, Y = datasets.load_breast_cancer(return_X_y=True)
WITHOUT = """
import pickle, sys
import numpy as np
from sklearn.datasets import load_iris
import tf_logreg
from tf_logreg import LogisticRegression
x, y = load_iris(return_X_y=True)
model = LogisticRegression().fit(x, y, sample_weight=np.ones(150))
LogisticRegression(l1_ratio=1, output='one_vs_rest', class_weight='balanced').fit(x, y)
LogisticRegression(dtype='float32').fit(x * 1e-30, y > 0, offset=x[:, 0])
pickle.loads(pickle.dumps(model)).predict_proba(x)
model.predict(x), model.decision_function(x), model.score(x, y), model._repr_html_()
print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])
"""


def test_no_tensorflow_without_an_accelerator():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], text=True, capture_output=True, check=True, timeout=200
    )
    assert done.stdout == "[]\n"


def test_a_strategy_is_kept_by_clone_and_named_by_pickle(strategies):
    model = LogisticRegression(strategy=strategies["mirrored"]).fit(X, Y)
    assert model.result_["engine"] == "devices"
    assert model.result_["num_replicas"] == 2
    assert clone(model).strategy is strategies["mirrored"]
    assert not hasattr(clone(model), "coef_")
    assert clone(make_pipeline(model))[0].strategy is strategies["mirrored"]
    thawed = pickle.loads(pickle.dumps(model))
    assert thawed.strategy == "mirrored"
    np.testing.assert_array_equal(thawed.predict_proba(X), model.predict_proba(X))
    alone = LogisticRegression().fit(X, Y)
    assert alone.result_["engine"] == "host"
    np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-7)


@pytest.mark.parametrize("name", ["off", "one_device"])
def test_a_strategy_by_name_and_bfloat16(name):
    model = LogisticRegression(strategy=name).fit(X, Y)
    assert pickle.loads(pickle.dumps(model)).strategy == name
    assert clone(model).get_params() == model.get_params()
    rough = LogisticRegression(dtype="bfloat16", strategy=name, tol=1e-3).fit(X, Y)
    assert rough.result_["engine"] == "devices"
    np.testing.assert_allclose(rough.predict_proba(X), model.predict_proba(X), atol=1e-3)


def test_a_search_over_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [1e-3, 1.0]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"logisticregression__C": 1.0}
    assert search.score(X, Y) > 0.98
    assert "LogisticRegression" in search._repr_html_()


def test_worker_processes_take_it():
    model = LogisticRegression()
    np.testing.assert_array_equal(
        cross_val_score(model, X, Y, cv=2, n_jobs=2), cross_val_score(model, X, Y, cv=2)
    )


def test_weights_and_offsets_are_routed():
    weight, offset = np.random.default_rng(0).uniform(0.5, 2, (2, len(Y)))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = LogisticRegression().set_fit_request(sample_weight=True, offset=True)
        pipeline = make_pipeline(routed).fit(X, Y, sample_weight=weight, offset=offset)
    direct = LogisticRegression().fit(X, Y, sample_weight=weight, offset=offset)
    np.testing.assert_array_equal(pipeline[0].coef_, direct.coef_)


def test_a_warm_start_begins_at_the_last_coefficients():
    model, x = LogisticRegression(warm_start=True, solver="lbfgs"), StandardScaler().fit_transform(X)
    cold = model.fit(x, Y).n_iter_[0]
    assert model.fit(x, Y).n_iter_[0] < cold / 3
    model.coef_, model.intercept_ = model.coef_.tolist(), model.intercept_.tolist()
    assert model.fit(x, Y).n_iter_[0] < cold / 3
    assert model.set_params(output="softmax").fit(X, Y).coef_.shape == (2, 30)  # nothing to begin at


def test_separated_data_warn_once_with_the_names():
    x, y = datasets.load_iris(return_X_y=True, as_frame=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = LogisticRegression(C=np.inf).fit(x, y == 0)
    (only,) = caught
    assert only.category is ConvergenceWarning
    assert "lower C" in str(only.message)
    assert "'petal length (cm)'" in str(only.message)
    assert only.filename == __file__
    assert model.status_ == "separated"
    assert np.isnan(model.certified_gap_)


def test_an_uncertified_fit_warns_once_with_the_gap_and_the_remedy():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = LogisticRegression(max_iter=2).fit(X, Y)
    (only,) = caught
    assert "the gap is at most" in str(only.message)
    assert "raise max_iter" in str(only.message)
    assert model.n_iter_[0] == 2
    assert model.certified_gap_ > 1e-6


def test_nothing_is_printed_unless_it_is_asked_for(capfd):
    LogisticRegression().fit(X, Y)
    assert capfd.readouterr() == ("", "")
    LogisticRegression(verbose=1).fit(X, Y)
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) > 3
    assert any("passes: objective" in line for line in lines)


def test_keras_and_saved_models_give_the_same_probabilities(tmp_path):
    model = LogisticRegression().fit(X, Y)
    keras_model = model.to_keras()
    features = X.astype(keras_model.input_dtype if hasattr(keras_model, "input_dtype") else keras_model.dtype)
    np.testing.assert_allclose(np.asarray(keras_model(features)), model.predict_proba(X)[:, 1:], atol=1e-4)
    model.export(str(tmp_path / "export"))
    assert (tmp_path / "export" / "saved_model.pb").is_file()
