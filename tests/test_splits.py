"""Splits of every kind: which of them are solved together, what is asked of each."""

import numpy as np
import pytest
import sklearn
from cross_validation import CS, NEW, peer
from problems import random_problem
from sklearn.model_selection import LeaveOneOut, PredefinedSplit, RepeatedStratifiedKFold, ShuffleSplit

from tf_logreg import LogisticRegressionCV
from tf_logreg.arguments import splits
from tf_logreg.errors import InputError
from tf_logreg.fit import learn

SPLITTERS = {
    "partitions": (RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0), [3, 3]),
    "draws": (ShuffleSplit(3, test_size=0.3, random_state=0), [1, 1, 1]),
    "parts of the rows": (PredefinedSplit(np.arange(147) % 3 - 1), [2]),
    "masks": ([(np.arange(147) % 3 != f, np.arange(147) % 3 == f) for f in range(3)], [3]),
    "some rows nowhere": ([(np.arange(0, 100), np.arange(100, 140)), (np.arange(60, 147), np.arange(60))], [1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("case", SPLITTERS.values(), ids=SPLITTERS)
def test_splits_of_every_kind(classes, case, monkeypatch):
    """Those of a partition share a path; none of that shows in the answers."""
    (x, y, weight), (cv, expected) = random_problem(147, 4, classes), case
    paths, explore = [], learn.explore
    monkeypatch.setattr(
        learn, "explore", lambda settings, *a: paths.append(settings.cv.folds or 1) or explore(settings, *a)
    )
    ours = LogisticRegressionCV(Cs=CS, cv=cv, scoring="neg_log_loss", tol=1e-13, **NEW).fit(x, y, weight)
    assert paths == expected
    theirs, scores = peer(x, y, weight, cv=cv, scoring="neg_log_loss")
    np.testing.assert_allclose(np.swapaxes(ours.scores_, 1, 2), scores, rtol=1e-6)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)


def test_tests_that_overlap_are_not_solved_together():
    every = np.arange(6)
    cut = [(np.setdiff1d(every, test), np.array(test)) for test in ([0, 1], [1, 2], [0, 3])]
    assert [batch.which for batch in splits.batches(cut, 6)] == [[0], [1, 2]]


def test_labels_that_a_test_lacks():
    """Rows by class in the tests, all classes in training: scores that take the labels have all of them."""
    x, y, _ = random_problem(90, 3, 3)
    tests = [np.flatnonzero(y == c)[:5] for c in range(3)]
    cv = [(np.setdiff1d(np.arange(90), test), test) for test in tests]
    for scoring in ("neg_log_loss", "neg_brier_score"):
        ours = LogisticRegressionCV(Cs=CS, cv=cv, scoring=scoring, tol=1e-13, **NEW).fit(x, y)
        if scoring == "neg_log_loss" or sklearn.__version__ >= "1.7":
            np.testing.assert_allclose(
                np.swapaxes(ours.scores_, 1, 2), peer(x, y, cv=cv, scoring=scoring)[1], rtol=1e-6
            )


def test_a_split_that_leaves_a_class_out_of_training():
    x, y, weight = random_problem(60, 3, 3)
    y = np.array(["a", "b", "c"])[y]
    cv = [(np.flatnonzero(y != "a"), np.flatnonzero(y == "a")), (np.arange(30), np.arange(30, 60))]
    with pytest.raises(
        InputError, match=r"cv: expected training rows of every class.*none of 'a' in split 1 of 2"
    ):
        LogisticRegressionCV(cv=cv).fit(x, y)
    with pytest.raises(
        InputError, match=r"test rows with a weight > 0 in each split. Received: 1 rows of weight 0"
    ):
        LogisticRegressionCV(cv=LeaveOneOut()).fit(x, y, np.where(np.arange(60) == 7, 0, weight))
