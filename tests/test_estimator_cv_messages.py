"""`LogisticRegressionCV`: what it warns of and what it refuses."""

import re

import numpy as np
import pytest
import sklearn
from problems import random_problem

from tf_logreg import InputError, LogisticRegressionCV


def test_fits_that_are_cut_short_warn_once():
    x, y, _ = random_problem(147, 4, 2)
    with pytest.warns(sklearn.exceptions.ConvergenceWarning) as caught:
        found = LogisticRegressionCV(Cs=[1e-4, 1e3], cv=3, max_iter=1, tol=1e-9, solver="lbfgs").fit(x, y)
    (only,) = caught
    assert only.filename == __file__
    message = str(only.message)
    assert message.startswith("lbfgs failed to converge after 1 iteration(s). ")
    assert "6 of 6 fits of the path are not certified (6 max_passes), with gaps of up to" in message
    assert ": raise max_iter, or lower the largest of Cs. The fit to all rows: after" in message
    assert found.result_["status"] == found.status_ == "max_passes"


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_class_without_weight_is_named(class_weight):
    x, y, _ = random_problem(60, 2, 3)
    model = LogisticRegressionCV(Cs=[1.0], cv=2, class_weight=class_weight)
    with pytest.raises(InputError, match=r"^sample_weight: .* class 2 has only rows of weight 0"):
        model.fit(x, y, sample_weight=y != 2)


def test_the_end_of_every_fit_is_told():
    x, _, _ = random_problem(60, 3, 2)
    options = {
        "Cs": [np.inf, 1.0, 2.0],
        "l1_ratios": [0.0, 0.5],
        "cv": 3,
        "scoring": lambda model, *_: -model.C,
    }
    with pytest.warns(sklearn.exceptions.ConvergenceWarning) as caught:
        found = LogisticRegressionCV(**options).fit(x, x[:, 0] > 0)
    (only,) = caught  # the chosen fit is certified
    assert (
        "6 of 18 fits of the path are not certified (6 separated), with gaps that are unknown: lower"
        in str(only.message)
    )
    assert found.status_ == "optimal"
    assert found.certified_gaps_.shape == (3, 2, 3)
    assert (found.status_paths_ == ["separated", "optimal", "optimal"]).all()
    assert (found.certified_gaps_[..., 1:] <= 1e-6).all()
    assert np.isnan(found.certified_gaps_[..., 0]).all()
    found.set_params(refit=False, Cs=[1.0]).fit(x, x[:, 0] > 0)
    assert not hasattr(found, "result_")


BAD = {
    "no penalties": ({"Cs": []}, "Cs: expected a number >= 1, or numbers > 0. Received: []."),
    "no number": ({"Cs": 0}, "Cs: expected a number >= 1, or numbers > 0. Received: 0."),
    "negative": ({"Cs": [1.0, -1.0]}, "Cs: expected a number >= 1, or numbers > 0"),
    "no share": ({"l1_ratios": [0.5, 1.5]}, "l1_ratios: expected numbers in [0, 1], or None. Received: [0.5, 1.5]"),
    "no list": ({"l1_ratios": 0.5}, "l1_ratios: expected numbers in [0, 1], or None. Received: 0.5."),
    "a smooth solver": ({"l1_ratios": [0.5], "solver": "lbfgs"}, "solver: expected 'auto', 'saga' or"),
    "refit": ({"refit": "yes"}, "refit: expected True or False. Received: 'yes'."),
    "legacy": ({"use_legacy_attributes": "warn"}, "use_legacy_attributes: expected True or False"),
    "no splits": ({"cv": []}, "cv: expected at least one split. Received: none."),
    "an empty side": ({"cv": [(np.arange(60), [])]}, "cv: expected rows on both sides of split 1. Received: 60 and 0."),
    "liblinear": ({"solver": "liblinear"}, "'liblinear' penalises the intercept"),
    "penalty": ({"penalty": "l1"}, "l1_ratio=1"),
    "factors": ({"penalty_factor": [1.0]}, "penalty_factor: expected 3 numbers, one a feature ('x0', 'x1', 'x2'). R"),
    "no penalty": ({"penalty_factor": [0.0] * 3}, "penalty_factor: expected a number > 0. Received: 0 for every"),
    "nobody's score": ({"scoring": "f2"}, "f2"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_parameters(case):
    x, y, _ = random_problem(60, 3, 2)
    options, message = case
    with pytest.raises(ValueError, match=re.escape(message)):
        LogisticRegressionCV(**{"cv": 3, **options}).fit(x, y)
