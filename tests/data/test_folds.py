"""Folds are scikit-learn's, and what is known of their parts is what is known of the whole."""

import numpy as np
import pytest
from problems import random_problem
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from tf_logreg.data import dataset, moments
from tf_logreg.data import folds as make_folds
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices


def test_groups_and_times_are_scikit_learns():
    x, y, _ = random_problem(61, 2, 2)
    rng = np.random.default_rng(0)
    groups, times = rng.integers(0, 7, 61), rng.permutation(61)
    source = from_arrays(x, y, class_names=("a", "b"), extras={"g": groups, "t": times})
    rows = np.arange(61)
    found = make_folds.make(source, rows, 3, group="g")
    for f, (train, test) in enumerate(GroupKFold(3).split(x, y, groups)):
        np.testing.assert_array_equal(np.flatnonzero(found.fold == found.held_out[f]), test)
        np.testing.assert_array_equal(np.flatnonzero(np.isin(found.fold, found.training(f))), train)
    found, order = make_folds.make(source, rows, 4, time="t"), np.argsort(times)
    for f, (train, test) in enumerate(TimeSeriesSplit(4).split(x)):
        np.testing.assert_array_equal(np.flatnonzero(found.fold == found.held_out[f]), np.sort(order[test]))
        np.testing.assert_array_equal(
            np.flatnonzero(np.isin(found.fold, found.training(f))), np.sort(order[train])
        )


def test_equal_times_stay_together():
    x, y, _ = random_problem(60, 2, 2)
    source = from_arrays(x, y, class_names=("a", "b"), extras={"t": np.arange(60) // 7})
    fold = make_folds.make(source, np.arange(60), 3, time="t").fold
    assert all(len(set(fold[np.arange(60) // 7 == t])) == 1 for t in range(9))
    assert set(fold) == {0, 1, 2, 3}


def test_moments_of_parts_are_those_of_the_whole(strategies):
    rng = np.random.default_rng(0)
    x, y = np.column_stack([rng.normal(1e6, 1, 90), np.full(90, 0.1), rng.normal(size=90)]), np.arange(90) % 2
    weight = rng.uniform(0, 2, 90)
    source = from_arrays(x, y.astype(np.int32), weight=weight, class_names=("a", "b"))
    devices = Devices(strategies["one_device"])
    whole = dataset.scan_rows(source, np.arange(90), devices)
    parts = moments.merged([dataset.scan_rows(source, np.arange(90)[f::4], devices) for f in range(4)])
    assert parts.weight_sum == pytest.approx(whole.weight_sum)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(parts.deviation, whole.deviation, rtol=1e-9)
    np.testing.assert_allclose(parts.class_weight_sum, whole.class_weight_sum)
    assert parts.deviation[1] == 0
