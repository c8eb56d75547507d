"""The estimators on sparse rows: every format is the same fit, that of the dense rows."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from tf_logreg import LogisticRegression, LogisticRegressionCV

FORMATS = ("csr", "csc", "coo", "bsr", "lil", "dok", "dia")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 12)) * (RNG.random((120, 12)) < 0.3)
Y = (X @ RNG.normal(size=12) + 0.3 * RNG.normal(size=120) > 0).astype(int)


def with_wide_indices(x):
    """CSR with indices of 64 bits."""
    x = scipy.sparse.csr_array(x)
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    return x


@pytest.fixture(scope="module")
def dense():
    return LogisticRegression().fit(X, Y)


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_the_fit_of_the_dense_rows(dense, name, kind):
    x = getattr(scipy.sparse, f"{name}_{kind}")(X)
    before = x.copy()
    found = LogisticRegression().fit(x, Y)
    assert found.status_ == "optimal"
    assert (before != x).nnz == 0
    assert found.n_features_in_ == 12
    np.testing.assert_allclose(found.coef_, dense.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.intercept_, dense.intercept_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.predict_proba(x), dense.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(found.predict_log_proba(x), dense.predict_log_proba(X), atol=1e-8)
    np.testing.assert_allclose(found.decision_function(X), dense.decision_function(X), atol=1e-8)
    np.testing.assert_array_equal(found.predict(x), dense.predict(X))
    assert found.score(x, Y) == dense.score(X, Y)


def test_wide_indices_unsorted_ids_and_values_of_one_place(dense):
    unsorted = scipy.sparse.csr_array(X)[:, ::-1][:, ::-1]
    twice = scipy.sparse.coo_array((np.tile(X[X != 0] / 2, 2), np.tile(np.nonzero(X), 2)), X.shape)
    for x in (with_wide_indices(X), unsorted, twice):
        found = LogisticRegression().fit(x, Y)
        np.testing.assert_allclose(found.coef_, dense.coef_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int64, bool])
def test_numbers_of_any_kind(dtype):
    x = (np.abs(X) * 3).astype(dtype)
    dense, sparse = LogisticRegression().fit(x, Y), LogisticRegression().fit(scipy.sparse.csr_array(x), Y)
    assert sparse.coef_.dtype == dense.coef_.dtype
    np.testing.assert_allclose(
        sparse.coef_, dense.coef_, rtol=1e-4 if dtype is np.float32 else 1e-7, atol=1e-6
    )


@pytest.mark.parametrize(
    "options",
    [
        {"l1_ratio": 1.0},
        {"l1_ratio": 0.5, "standardize": True},
        {"class_weight": "balanced", "output": "softmax"},
        {"output": "one_vs_rest"},
        {"fit_intercept": False, "C": 0.1},
        {"penalty_factor": np.arange(30.0)},
    ],
    ids=str,
)
def test_options_mean_the_same(options):
    x, y = load_breast_cancer(return_X_y=True)
    x = x * (x > np.median(x, axis=0))
    weight = np.random.default_rng(1).integers(1, 4, len(y))
    dense, sparse = (
        LogisticRegression(**options).fit(one, y, sample_weight=weight)
        for one in (x, scipy.sparse.csc_array(x))
    )
    assert sparse.status_ == dense.status_ == "optimal"
    np.testing.assert_allclose(sparse.predict_proba(x), dense.predict_proba(x), atol=1e-6)


def test_offsets_and_three_classes():
    x, y = load_iris(return_X_y=True)
    offset = np.random.default_rng(2).normal(size=(150, 3))
    dense, sparse = (
        LogisticRegression().fit(one, y, offset=offset) for one in (x, scipy.sparse.coo_array(x))
    )
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-6, atol=1e-8)


def test_the_cross_validation_chooses_the_same():
    options = {
        "Cs": [0.01, 0.1, 1],
        "l1_ratios": [0, 1],
        "cv": 3,
        "scoring": "neg_log_loss",
        "use_legacy_attributes": False,
    }
    dense, sparse = (LogisticRegressionCV(**options).fit(one, Y) for one in (X, scipy.sparse.lil_array(X)))
    assert (sparse.C_, sparse.l1_ratio_) == (dense.C_, dense.l1_ratio_)
    np.testing.assert_allclose(sparse.scores_, dense.scores_, atol=1e-8)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-6, atol=1e-8)
    scored = LogisticRegressionCV(**options | {"scoring": "roc_auc"}).fit(scipy.sparse.csr_matrix(X), Y)
    assert 0.5 < scored.score(scipy.sparse.csr_matrix(X), Y) <= 1


def test_words_in_a_pipeline():
    texts = ["red apple", "green apple", "red car", "fast car", "green pear", "slow car"] * 5
    fruit = [1, 1, 0, 0, 1, 0] * 5
    model = make_pipeline(CountVectorizer(), LogisticRegression())
    assert cross_val_score(model, texts, fruit).mean() == 1
    np.testing.assert_array_equal(clone(model).fit(texts, fruit).predict(["ripe apple", "old car"]), [1, 0])


def changed(value):
    x = scipy.sparse.csr_array(X)
    x.data[7] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (changed(np.nan), "Input X contains NaN"),
        (changed(-np.inf), "Input X contains infinity"),
        (changed(1e20), r"expected magnitudes below 1e\+18\. Received: 1e\+20 in row "),
        (scipy.sparse.csr_array(X + 1j), "Complex data not supported"),
        (scipy.sparse.csr_array(X)[:0], "Found array with 0 sample"),
        (scipy.sparse.csr_array(X)[:50], "inconsistent numbers of samples"),
    ],
)
def test_rows_that_cannot_be_used_are_named(x, message):
    with pytest.raises(ValueError, match=message):
        LogisticRegression().fit(x, Y)


def test_predictions_ask_for_the_columns_of_the_fit_and_for_numbers(dense):
    with pytest.raises(ValueError, match="X has 11 features, but LogisticRegression is expecting 12"):
        dense.predict(scipy.sparse.csr_array(X)[:, :11])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        dense.predict(changed(np.nan))
