"""What `LogisticRegression` takes as rows and labels, and what it answers to what it does not take."""

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from sklearn.base import clone

from tf_logreg import InputError, LogisticRegression

X, Y = datasets.load_iris(return_X_y=True)
NAMES = ["a", "b", "c", "d"]
FRAME = pd.DataFrame(X, columns=NAMES)
FITTED = LogisticRegression().fit(X, Y)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


ROWS = {
    "a list": X.tolist(),
    "by columns": np.asfortranarray(X),
    "every other column": np.repeat(X, 2, axis=1)[:, ::2],
    "read only": read_only(X),
    "long double": X.astype(np.longdouble),
    "other byte order": X.astype(">f8"),
    "objects": X.astype(object),
    "a frame": FRAME,
    "nullable": FRAME.astype("Float64"),
    "Arrow": FRAME.astype("double[pyarrow]"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_any_kind_give_the_same_model(name):
    found = LogisticRegression().fit(ROWS[name], Y)
    np.testing.assert_allclose(found.coef_, FITTED.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.predict_proba(ROWS[name]), FITTED.predict_proba(X), rtol=1e-9)
    assert hasattr(found, "feature_names_in_") == isinstance(ROWS[name], pd.DataFrame)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64, np.bool_, np.float16]
)
def test_every_real_dtype_is_taken_for_the_numbers_that_it_holds(dtype):
    x = (X * 10).round().astype(dtype) if dtype is not np.bool_ else X.mean(axis=0) < X
    found, wide = (LogisticRegression().fit(rows, Y) for rows in (x, x.astype(np.float64)))
    np.testing.assert_allclose(found.coef_, wide.coef_, rtol=1e-9, atol=1e-10)
    assert found.coef_.dtype == np.float64
    np.testing.assert_allclose(found.predict_proba(x), wide.predict_proba(x.astype(np.float64)), atol=1e-9)


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_float32_rows_are_trained_in_float32_and_solved_to_their_last_digits(kind):
    x = kind(X.astype(np.float32))
    found, wide = LogisticRegression().fit(x, Y), LogisticRegression().fit(x.astype(np.float64), Y)
    assert found.coef_.dtype == np.float32
    np.testing.assert_allclose(found.coef_, wide.coef_, rtol=1e-6, atol=1e-7)


LABELS = {
    "strings": np.array(["u", "v", "w"])[Y],
    "objects": np.array(["u", "v", "w"], object)[Y],
    "categories": pd.Series(pd.Categorical(np.array(["u", "v", "w"])[Y])),
    "Arrow": pd.Series(np.array(["u", "v", "w"])[Y], dtype="string[pyarrow]"),
    "nullable": pd.Series(Y, dtype="Int64"),
    "floats": Y.astype(float),
    "far apart": Y.astype(np.int64) * 2**60,
    "negative bytes": (Y * 100 - 100).astype(np.int8),
    "large": Y.astype(np.uint64) + np.uint64(2**64 - 3),
    "dates": np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "M8[D]")[Y],
    "a list": Y.tolist(),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_any_kind_come_back(name):
    labels = LABELS[name]
    found = LogisticRegression().fit(X, labels)
    np.testing.assert_array_equal(found.coef_, FITTED.coef_)
    given = np.asarray(labels)
    np.testing.assert_array_equal(found.classes_, np.unique(given))
    np.testing.assert_array_equal(found.predict(X), found.classes_[FITTED.predict(X)])
    assert found.score(X, labels) == FITTED.score(X, Y)


def test_booleans_are_two_classes():
    found = LogisticRegression().fit(X, Y > 0)
    assert found.classes_.tolist() == [False, True]
    assert found.predict(X).dtype == bool
    assert found.coef_.shape == (1, 4)


def test_rows_of_weight_zero_are_absent_and_weight_two_is_a_row_twice():
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, len(Y))
    weighted = LogisticRegression().fit(X, Y, sample_weight=weight)
    repeated = LogisticRegression().fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("output", ["auto", "one_vs_rest"])
def test_class_weights_are_row_weights(output):
    by_label = dict(zip("uvw", (1.0, 2.0, 0.5), strict=True)) if output == "one_vs_rest" else "balanced"
    y = np.delete(np.array(["u", "v", "w"])[Y], slice(0, 30))
    x = X[30:]
    shares = (
        {label: len(y) / 3 / (y == label).sum() for label in "uvw"} if by_label == "balanced" else by_label
    )
    rows = np.array([shares[label] for label in y])
    found = LogisticRegression(class_weight=by_label, output=output).fit(x, y)
    other = LogisticRegression(output=output).fit(x, y, sample_weight=rows)
    np.testing.assert_allclose(found.coef_, other.coef_, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.intercept_, other.intercept_, rtol=1e-6, atol=1e-7)


def test_an_offset_takes_the_place_of_a_known_coefficient():
    y = Y > 0
    whole = LogisticRegression(penalty_factor=[0, 1, 1, 1]).fit(X, y)
    rest = LogisticRegression().fit(X[:, 1:], y, offset=X[:, 0] * whole.coef_[0, 0])
    np.testing.assert_allclose(rest.coef_, whole.coef_[:, 1:], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(rest.intercept_, whole.intercept_, rtol=1e-6)


def test_standardised_columns_have_penalties_of_their_own():
    scaled = LogisticRegression().fit((X - X.mean(axis=0)) / X.std(axis=0), Y)
    found = LogisticRegression(standardize=True).fit(X, Y)
    np.testing.assert_allclose(found.coef_ * X.std(axis=0), scaled.coef_, rtol=1e-9)


@pytest.mark.parametrize("parameters", [{"n_jobs": 2}, {"n_jobs": -1}, {"l1_ratio": None}])
def test_parameters_that_change_no_answer(parameters):
    found = LogisticRegression(**parameters).fit(X, Y)
    np.testing.assert_array_equal(found.coef_, FITTED.coef_)
    assert clone(found).get_params().items() >= parameters.items()


BAD_PARAMETERS = {
    "penalty='l1'": ("penalty: it is gone, l1_ratio=1 says it instead", {"penalty": "l1"}),
    "penalty=None": ("C=np.inf says it instead", {"penalty": None}),
    "liblinear": ("'liblinear' penalises the intercept", {"solver": "liblinear"}),
    "a solver": ("solver: expected one of auto, lbfgs", {"solver": "adam"}),
    "dual": ("dual: expected False", {"dual": True}),
    "multi_class": ("multi_class: .* output='softmax' or 'one_vs_rest' chooses", {"multi_class": "ovr"}),
    "intercept_scaling": ("intercept_scaling: expected 1", {"intercept_scaling": 2}),
    "C=0": ("C: expected a number > 0, np.inf for no penalty. Received: 0", {"C": 0}),
    "C=NaN": ("C: expected", {"C": np.nan}),
    "C=True": ("C: expected", {"C": True}),
    "l1_ratio": (r"l1_ratio: expected a number in \[0, 1\]. Received: 1.5", {"l1_ratio": 1.5}),
    "l1 by lbfgs": (
        "solver: expected 'auto', .* with l1_ratio > 0. Received: 'lbfgs'",
        {"l1_ratio": 1, "solver": "lbfgs"},
    ),
    "tol": ("tol: expected a finite number > 0", {"tol": 0.0}),
    "fit_intercept": ("fit_intercept: expected True or False. Received: 'no'", {"fit_intercept": "no"}),
    "standardize": ("standardize: expected True or False. Received: None", {"standardize": None}),
    "warm_start": ("warm_start: expected True or False. Received: 1", {"warm_start": 1}),
    "max_iter": ("max_iter: expected a whole number >= 1. Received: 0", {"max_iter": 0}),
    "time_limit": ("time_limit: expected seconds > 0, or None. Received: 0", {"time_limit": 0}),
    "output": ("output: expected one of auto, sigmoid", {"output": "probit"}),
    "sigmoid": ("^output: a sigmoid takes two classes", {"output": "sigmoid"}),
    "dtype": ("dtype: expected one of auto, ", {"dtype": "int8"}),
    "strategy": ("strategy: expected one of auto, off, .* Received: 'cloud'", {"strategy": "cloud"}),
    "no strategy": ("strategy: expected", {"strategy": 3}),
    "a TPU that is not there": ("tpu", {"strategy": "tpu"}),
    "penalty_factor": (
        r"penalty_factor: expected 4 numbers, one a feature \(.*\). Received: 2\.",
        {"penalty_factor": [1, 2]},
    ),
    "negative factors": ("penalty_factor: expected finite numbers >= 0", {"penalty_factor": [1, 2, 3, -1]}),
    "class_weight": ("class_weight: expected None, 'balanced' or a dict", {"class_weight": "even"}),
    "an unknown class": (
        r"expected classes of y, \[0, 1, 2\]. Received: a weight for 5",
        {"class_weight": {5: 2.0}},
    ),
    "weight 0": ("class_weight: expected a finite weight > 0. Received: 0 for 1", {"class_weight": {1: 0}}),
}


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_parameters_that_cannot_be_used_are_named(name):
    message, parameters = BAD_PARAMETERS[name]
    model = LogisticRegression(**parameters)
    clone(model)  # only `fit` looks at them
    with pytest.raises(InputError, match=message):
        model.fit(X, Y)


def with_value(value):
    x = X.copy()
    x[3, 2] = value
    return x


BAD_ROWS = {
    "NaN": ("Input X contains NaN", (with_value(np.nan), Y)),
    "infinity": ("Input X contains infinity", (with_value(np.inf), Y)),
    "a code": (
        "expected magnitudes below 1e\\+18. Received: 1e\\+20 in row 3, column 'x2'",
        (with_value(1e20), Y),
    ),
    "complex": ("Complex data not supported", (X + 1j, Y)),
    "a mask": ("X: expected a value everywhere", (np.ma.masked_array(X, X > 7), Y)),
    "missing": ("Input X contains NaN", (FRAME.astype("Float64").mask(FRAME > 7), Y)),
    "one class": ("only one class", (X, Y * 0)),
    "continuous": ("Unknown label type", (X, Y + 0.5)),
    "another length": ("inconsistent numbers of samples", (X, Y[1:])),
    "no rows": ("Found array with 0 sample", (X[:0], Y[:0])),
    "all weights 0": ("weights > 0|at least one non-zero", (X, Y, Y * 0)),
    "a negative weight": ("Negative values", (X, Y, Y - 1)),
    "a class without weight": ("^sample_weight: .* Received: class 0 has only rows of weight 0", (X, Y, Y)),
    "offsets of a softmax": ("^offset: expected 3 values a row", (X, Y, None, X[:, 0])),
    "offsets of other rows": ("^offset: expected 150 values, one a row", (X, Y > 0, None, X[1:, 0])),
    "one offset": (r"^offset: expected 150 values, one a row. Received: shape \(\)", (X, Y > 0, None, 0.5)),
    "a cube of offsets": ("^offset: expected one value a row", (X, Y > 0, None, X[:, :1, None])),
    "an infinite offset": ("^offset: expected a finite number", (X, Y > 0, None, np.full(150, np.inf))),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_rows_that_cannot_be_used_are_named(name):
    message, rows = BAD_ROWS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        LogisticRegression().fit(*rows)


def test_an_offset_is_refused_for_one_vs_rest():
    model = LogisticRegression(output="one_vs_rest")
    with pytest.raises(InputError, match=r"^offset: expected None with output='one_vs_rest'"):
        model.fit(X, Y, offset=X[:, :3])


def test_predictions_ask_for_the_features_of_the_fit():
    named = LogisticRegression().fit(FRAME, Y)
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict(FRAME[NAMES[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict(FRAME.rename(columns={"a": "e"}))
    with pytest.raises(ValueError, match="X has 3 features, but LogisticRegression is expecting 4"):
        FITTED.predict(X[:, 1:])
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="Input X contains"):
            FITTED.predict_proba(with_value(value))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        named.predict(X)
    # A further fit without names forgets them.
    assert not hasattr(named.fit(X, Y), "feature_names_in_")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("output", ["auto", "one_vs_rest", "sigmoid"])
def test_rows_whose_logits_overflow_are_of_the_class_of_smaller_ones(output):
    y = Y > 0 if output == "sigmoid" else Y
    model = LogisticRegression(output=output).fit(X, y)
    x = np.array([[1.7, 0, 0, 0], [0, 0, 1.7, 0], [1.7] * 4, [1.7, -1.7, 1.7, -1.7], [-1.7] * 4])
    far = x * 1e308
    np.testing.assert_array_equal(model.predict(far), model.predict(x * 1e300))
    assert np.isfinite(model.decision_function(far)).all()
    np.testing.assert_allclose(model.predict_proba(far).sum(axis=1), 1)
    # Parts that overflow may cancel.
    model.coef_[:] = [2, -2, 0, 0]
    np.testing.assert_allclose(model.decision_function([[1e308, 1e308, 0, 0]]).ravel(), model.intercept_)
