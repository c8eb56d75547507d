"""A table beside scikit-learn's ColumnTransformer with the same columns and levels: the same coefficients."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import cats_and_dogs

NUMBERS, WORDS, L2 = ["weight", "tail", "age"], ["ears", "coat", "indoor"], 0.01
PETS = pd.DataFrame(cats_and_dogs.table())[[*NUMBERS, *WORDS, "animal"]].dropna().astype({"indoor": str})


def ours(tol, *, polish):
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2, config.data.test_fraction = "", 0, L2, 0.0
    config.solver.tol, config.solver.polish, config.data.min_count = tol, polish, 1
    return tf_logreg.train(PETS, label="animal", config=config, dtype="float64")


@pytest.fixture(scope="module")
def theirs():
    """Their coefficients by the names of our features."""
    columns = ColumnTransformer([("n", StandardScaler(), NUMBERS), ("w", OneHotEncoder(), WORDS)])
    x, y = columns.fit_transform(PETS), PETS["animal"] == "dog"
    fitted = LogisticRegression(C=1 / (L2 * len(y)), solver="newton-cholesky", tol=1e-14).fit(x, y)
    levels = columns.named_transformers_["w"].categories_
    names = [*NUMBERS, *(f"{name}={one}" for name, some in zip(WORDS, levels, strict=True) for one in some)]
    scale = np.append(columns.named_transformers_["n"].scale_, np.ones(len(names) - len(NUMBERS)))
    return dict(zip(names, fitted.coef_[0] / scale, strict=True))


@pytest.mark.parametrize("polish", [True, False])
def test_the_same_coefficients(theirs, polish):
    model = ours(1e-13, polish=polish)
    assert set(model.feature_names) == set(theirs)
    expected = np.array([theirs[name] for name in model.feature_names])
    np.testing.assert_allclose(model.kernel[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
def test_the_gap_bounds_the_distance_to_the_best_coefficients(theirs, tol):
    model = ours(tol, polish=False)
    best = np.array([theirs[name] for name in model.feature_names])
    unit = np.where(model.schema.scaled, model.deviation, 1.0)  # in which the penalty acts
    distance = np.linalg.norm((model.kernel[:, 0] - best) * unit)
    assert distance <= np.sqrt(2 * model.result["certified_gap"] / L2) * (1 + 1e-6) + 1e-9
