"""`LogisticRegressionCV`: scikit-learn's scores, choices and shapes, over splits of every kind."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from cross_validation import CS, NEW, peer
from problems import random_problem
from sklearn import linear_model
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.estimator_checks import check_estimator

from tf_logreg import LogisticRegression, LogisticRegressionCV
from tf_logreg.arguments.scoring import scorer_of


@pytest.fixture(scope="module", params=[2, 3])
def rows(request):
    """x [147, 4], y [147] texts and weights [147] of two or three classes; folds of unequal weights."""
    x, y, weight = random_problem(147, 4, request.param)
    return x, np.array(["no", "or", "yes"])[y], weight


@pytest.mark.versions
@pytest.mark.parametrize(
    "options", [{}, {"Cs": 3, "scoring": "neg_log_loss", "cv": 3, **NEW}], ids=["plain", "log loss"]
)
def test_scikit_learn_accepts_it(options):
    """Every check of theirs; they skip only what needs SCIPY_ARRAY_API, which is read when SciPy is imported."""
    found = check_estimator(LogisticRegressionCV(**options), on_fail=None, on_skip=None)
    outcomes = {one["check_name"]: one["status"] for one in found if one["status"] != "passed"}
    assert set(outcomes.items()) <= {("check_array_api_input", "skipped")}
    assert len(found) > 50


@pytest.mark.parametrize(
    "scoring",
    [None, "accuracy", "neg_log_loss", "balanced_accuracy", "neg_brier_score", "roc_auc_ovr", "f1_macro"],
)
@pytest.mark.parametrize("weighted", [True, False])
def test_scores_and_choice_are_scikit_learns(rows, scoring, weighted):
    x, y, weight = rows
    weight = weight if weighted else None
    if len(set(y)) == 2:
        scoring = {"roc_auc_ovr": "roc_auc", "f1_macro": "matthews_corrcoef"}.get(scoring, scoring)
    ours = LogisticRegressionCV(Cs=CS, scoring=scoring, cv=4, tol=1e-13, **NEW).fit(x, y, weight)
    theirs, scores = peer(x, y, weight, scoring=scoring, cv=4)
    np.testing.assert_allclose(np.swapaxes(ours.scores_, 1, 2), scores, rtol=1e-6)
    assert np.ravel(theirs.C_)[0] == ours.C_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    score = scorer_of(scoring, np.unique(y))
    assert ours.score(x, y, weight) == pytest.approx(score(theirs, x, y, sample_weight=weight), rel=1e-6)
    assert ours.status_ == "optimal"
    assert ours.certified_gap_ <= 1e-6


@pytest.mark.parametrize("class_weight", ["balanced", {"no": 3.0, "or": 0.5}])
def test_class_weights_are_those_of_all_rows_in_every_split(rows, class_weight):
    x, y, weight = rows
    options = {"class_weight": class_weight, "scoring": "neg_log_loss", "cv": 3}
    ours = LogisticRegressionCV(Cs=CS, tol=1e-13, **options, **NEW).fit(x, y, weight)
    theirs, scores = peer(x, y, weight, **options)
    np.testing.assert_allclose(np.swapaxes(ours.scores_, 1, 2), scores, rtol=1e-6)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)


@pytest.mark.parametrize("cv", [3, 2])
def test_one_vs_rest_balances_each_class_against_the_others(cv):
    x, y = load_iris(return_X_y=True)
    x, y = x[25:], y[25:]
    if cv == 2:  # splits that are no partition
        cv = [(train[:-5], test) for train, test in StratifiedKFold(2).split(x, y)]
    options = {"class_weight": "balanced", "output": "one_vs_rest", "tol": 1e-12}
    ours = LogisticRegressionCV(Cs=[0.1, 1.0], cv=cv, scoring="neg_log_loss", **options, **NEW).fit(x, y)
    alone = LogisticRegression(C=ours.C_, **options).fit(x, y)
    np.testing.assert_allclose(ours.coef_, alone.coef_, rtol=1e-7)
    each = linear_model.LogisticRegression(
        C=ours.C_, class_weight="balanced", solver="newton-cholesky", tol=1e-12
    )
    theirs = OneVsRestClassifier(each).fit(x, y)
    np.testing.assert_allclose(ours.coef_, [one.coef_[0] for one in theirs.estimators_], rtol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-6)
    for f, (train, _) in enumerate(check_cv(cv, y, classifier=True).split(x, y)):
        split = LogisticRegression(C=0.1, **options).fit(x[train], y[train])
        np.testing.assert_allclose(ours.coefs_paths_[f, 0, 0, :, :4], split.coef_, rtol=1e-6)


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("ratios", [None, [0.5, 0.0]])
@pytest.mark.parametrize("intercept", [True, False])
def test_shapes(rows, refit, ratios, intercept):
    """Those of scikit-learn 1.9, whichever is installed."""
    x, y, _ = rows
    labels = sorted(set(y))
    m, dof, points = 1 if len(labels) == 2 else 3, 4 + intercept, len(ratios or [0])
    options = {"Cs": CS, "l1_ratios": ratios, "cv": 3, "refit": refit, "fit_intercept": intercept}
    new = LogisticRegressionCV(**options, **NEW).fit(x, y)
    old = LogisticRegressionCV(**options).fit(x, y)
    assert new.scores_.shape == new.n_iter_.shape == (3, points, 3)
    assert new.coefs_paths_.shape == (3, points, 3, m, dof)
    assert type(new.C_) is type(new.l1_ratio_) is float
    assert new.coef_.shape == old.coef_.shape == (m, 4)
    assert new.intercept_.shape == (m,)
    assert new.n_iter_.max() > new.n_iter_.min() >= 1
    axis = () if ratios is None else (points,)
    assert old.C_.shape == old.l1_ratio_.shape == (m,)
    assert (old.C_ == new.C_).all()
    assert list(old.scores_) == list(old.coefs_paths_) == (labels if m > 1 else labels[1:])
    assert old.n_iter_.shape == (1, 3, 3, *axis)
    assert old.Cs_.tolist() == CS
    assert old.l1_ratios_.tolist() == ([None] if ratios is None else ratios)
    for c, label in enumerate(old.scores_):
        assert old.coefs_paths_[label].shape == (3, 3, *axis, dof)
        scores = old.scores_[label].reshape(3, 3, points)
        np.testing.assert_array_equal(scores, np.swapaxes(new.scores_, 1, 2))
        path = old.coefs_paths_[label].reshape(3, 3, points, dof)
        np.testing.assert_array_equal(path, np.swapaxes(new.coefs_paths_[:, :, :, c], 1, 2))


def test_without_refit_the_best_of_each_split_are_averaged(rows):
    x, y, _ = rows
    options = {"scoring": "neg_log_loss", "cv": 4, "refit": False}
    ours = LogisticRegressionCV(Cs=CS, tol=1e-13, **options, **NEW).fit(x, y)
    theirs, _ = peer(x, y, **options)
    assert np.ravel(theirs.C_)[0] == pytest.approx(ours.C_, rel=1e-12)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-5)
    assert ours.status_ == "averaged"
    assert ours._model.has_bias
    assert not clone(ours).set_params(fit_intercept=False).fit(x, y)._model.has_bias
    assert np.isnan(ours.certified_gap_)


def test_an_elastic_net_is_a_grid_search(rows):
    x, y, _ = rows
    grid, cv = {"C": [0.3, 0.02], "l1_ratio": [1.0, 0.3, 0.0]}, StratifiedKFold(3)
    ours = LogisticRegressionCV(
        Cs=grid["C"], l1_ratios=grid["l1_ratio"], cv=cv, scoring="neg_log_loss", tol=1e-12, **NEW
    ).fit(x, y)
    theirs = GridSearchCV(LogisticRegression(tol=1e-12), grid, cv=cv, scoring="neg_log_loss").fit(x, y)
    assert theirs.best_params_ == {"C": ours.C_, "l1_ratio": ours.l1_ratio_}
    scores = np.array([theirs.cv_results_[f"split{f}_test_score"] for f in range(3)]).reshape(3, 2, 3)
    np.testing.assert_allclose(np.swapaxes(ours.scores_, 1, 2), scores, rtol=1e-6)
    np.testing.assert_allclose(ours.coef_, theirs.best_estimator_.coef_, atol=1e-6)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_the_refit_ends_where_a_cold_fit_does(ratio):
    """To the last digits, though it starts elsewhere, with exact zeros."""
    x, y = make_classification(n_samples=100, n_features=20, random_state=42)
    warm = LogisticRegressionCV(Cs=[1.0], l1_ratios=[ratio], cv=3).fit(x, y)
    cold = LogisticRegression(C=1.0, l1_ratio=ratio).fit(x, y)
    np.testing.assert_allclose(warm.coef_, cold.coef_, rtol=1e-9)
    assert (cold.coef_ == 0).any() == (ratio > 0)


def test_an_infinite_inverse_is_no_penalty():
    x, y, _ = random_problem(120, 3, 2)
    ours = LogisticRegressionCV(Cs=[np.inf, 1e-3], cv=3, scoring="neg_log_loss", tol=1e-12, **NEW).fit(x, y)
    theirs, scores = peer(x, y, Cs=[np.inf, 1e-3], cv=3, scoring="neg_log_loss")
    assert np.isinf(ours.C_)
    np.testing.assert_allclose(np.swapaxes(ours.scores_, 1, 2), scores, rtol=1e-6)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)


def test_a_number_of_inverses_is_scikit_learns_grid():
    x, y, _ = random_problem(60, 2, 2)
    assert LogisticRegressionCV(Cs=4, cv=2).fit(x, y).Cs_ == pytest.approx(np.logspace(-4, 4, 4))
    np.testing.assert_array_equal(LogisticRegressionCV(cv=2).fit(x, y).Cs_, np.logspace(-4, 4, 10))


def test_a_scorer_sees_fitted_estimators():
    """One a penalty and split, with their test rows and weights."""
    x, y, weight = random_problem(90, 3, 2)
    seen = []

    def scorer(estimator, x, y, sample_weight):
        seen.append((estimator.C, len(x), sample_weight.sum()))
        assert estimator.predict_proba(x).shape == (len(y), 2)
        return -abs(estimator.C - 10)

    found = LogisticRegressionCV(Cs=CS, cv=3, scoring=scorer, **NEW).fit(x, y, weight)
    assert found.C_ == 10
    assert [c for c, *_ in seen] == CS * 3
    assert sum(total for *_, total in seen) == pytest.approx(3 * weight.sum())


def test_the_command_line_finds_the_same_to_the_last_bit(rows, command, tmp_path):
    x, y, weight = rows
    np.savez(tmp_path / "a.npz", x=x, y=y, weight=weight)
    inverse, run = (0.01, 0.1, 10.0), tmp_path / "run"
    code, _, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/a.npz", "--config.data.test_fraction=0.0",
        "--config.path.penalty=l2", f"--config.path.C={inverse}", "--config.cv.folds=4", f"--workdir={run}",
        "--config.cv.metric=accuracy", "--config.standardize=False", "--dtype=float64",
    )  # fmt: skip
    assert code == 0, err
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    ours = LogisticRegressionCV(Cs=inverse, cv=cv, strategy="off", dtype="float64", **NEW).fit(x, y, weight)
    with np.load(run / "path.npz") as theirs, np.load(run / "coefficients.npz") as model:
        np.testing.assert_array_equal(ours.scores_[:, 0], theirs["scores"].T)
        np.testing.assert_array_equal(
            ours.coefs_paths_[:, 0, ..., :-1], theirs["kernel"].transpose(1, 0, 3, 2)
        )
        np.testing.assert_array_equal(ours.coefs_paths_[:, 0, ..., -1], np.swapaxes(theirs["bias"], 0, 1))
        assert theirs["C"][theirs["choice"]] == ours.C_
        np.testing.assert_array_equal(ours.coef_, model["kernel"].T)
        np.testing.assert_array_equal(ours.intercept_, model["bias"])


def test_metadata_is_routed():
    x, y, weight = random_problem(90, 3, 2)
    groups = np.arange(90) // 9
    with sklearn.config_context(enable_metadata_routing=True):
        plain, weighted = (
            get_scorer("accuracy").set_score_request(sample_weight=asked) for asked in (False, True)
        )
        found = {}
        for name, scorer in (("plain", plain), ("weighted", weighted)):
            model = LogisticRegressionCV(Cs=CS, cv=GroupKFold(3), scoring=scorer, **NEW)
            found[name] = model.fit(x, y, sample_weight=weight, groups=groups)
        cut = list(GroupKFold(3).split(x, y, groups))
        test = cut[0][1]
        coef, intercept = (
            found["plain"].coefs_paths_[0, 0, 1, 0, :3],
            found["plain"].coefs_paths_[0, 0, 1, 0, 3],
        )
        hits = (x[test] @ coef + intercept > 0) == y[test]
        assert found["plain"].scores_[0, 0, 1] == pytest.approx(hits.mean())
        assert found["weighted"].scores_[0, 0, 1] == pytest.approx(np.average(hits, weights=weight[test]))
        with pytest.raises(TypeError, match="not routed to any object"):
            found["plain"].score(x, y, sample_weight=weight)
        named = (model.predict(x) == y) @ weight / weight.sum()
        assert found["weighted"].score(x, y, sample_weight=weight) == pytest.approx(named)
    with pytest.raises(ValueError, match="only supported if enable_metadata_routing=True"):
        LogisticRegressionCV().fit(x, y, groups=groups)


def test_clones_and_pickles_answer_alike():
    x, y, _ = random_problem(60, 3, 3)
    found = LogisticRegressionCV(Cs=CS, cv=2, scoring=make_scorer(lambda y, p: (y == p).mean())).fit(x, y)
    assert clone(found).get_params()["Cs"] == CS
    found = LogisticRegressionCV(Cs=CS, cv=2).fit(x, y)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(x), found.predict_proba(x))
    np.testing.assert_array_equal(again.scores_[0], found.scores_[0])


def test_no_tensorflow_on_the_way():
    script = (
        "import sys, numpy as np; from tf_logreg import LogisticRegressionCV as CV;"
        "x = np.random.default_rng(0).normal(size=(60, 2)); y = x[:, 0] > 0;"
        "CV(Cs=2, cv=2, scoring='neg_brier_score').fit(x, y).predict(x); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_nothing_is_printed_unless_it_is_asked_for(capfd):
    x, y, _ = random_problem(60, 2, 2)
    LogisticRegressionCV(Cs=2, cv=2).fit(x, y)
    assert capfd.readouterr() == ("", "")
    LogisticRegressionCV(Cs=2, cv=2, verbose=1).fit(x, y)
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) > 3
    assert all("passes: objective" in line for line in lines)


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_coefficients_have_the_precision_of_x(kind):
    x, y, _ = random_problem(60, 2, 2)
    found = LogisticRegressionCV(Cs=[1.0], cv=2).fit(kind(x.astype(np.float32)), y)
    assert found.coef_.dtype == found.intercept_.dtype == np.float32
    wide = LogisticRegressionCV(Cs=[1.0], cv=2).fit(kind(x), y)
    assert wide.coef_.dtype == np.float64
    np.testing.assert_allclose(found.coef_, wide.coef_, rtol=1e-5)
