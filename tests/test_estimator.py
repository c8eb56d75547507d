"""`LogisticRegression`: scikit-learn's classifier on our road."""

import numpy as np
import pytest
from sklearn import datasets, linear_model

from tf_logreg import LogisticRegression


def reference(**options) -> linear_model.LogisticRegression:
    """scikit-learn's own, as exact as it goes."""
    return linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=10_000, **options)


@pytest.mark.parametrize(
    "load", [datasets.load_iris, datasets.load_breast_cancer], ids=["iris", "breast_cancer"]
)
def test_probabilities_are_those_of_scikit_learn(load):
    x, y = load(return_X_y=True)
    ours, theirs = LogisticRegression().fit(x, y), reference().fit(x, y)
    assert ours.status_ == "optimal"
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-3)
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.certified_gap_ <= 1e-6
