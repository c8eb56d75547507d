"""Folds are scikit-learn's, and what is known of their parts is what is known of the whole."""

import numpy as np
import pytest
from problems import random_problem, settings_of
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from tf_logreg.data import dataset, moments
from tf_logreg.data import folds as make_folds
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError


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


def test_a_class_that_only_tests_is_named_before_folds_are_made(strategies):
    source = from_arrays(np.eye(12)[:, :3], np.arange(12) % 3, class_names=("a", "b", "c"))
    rows = np.arange(12)
    by_role = {"train": rows[rows % 3 < 2], "test": rows[rows % 3 == 2]}
    with pytest.raises(InputError, match=r"y: expected training rows .* of 'c', .* there are 4 in test"):
        dataset.of_rows(source, by_role, settings_of(cv__folds=2), Devices(strategies["one_device"]))


def test_folds_of_a_column_may_be_smaller_than_the_column(strategies):
    x = np.full((20, 1), 1e-292) * np.arange(1, 21)[:, None]
    x[0] = 1e-280
    source = from_arrays(x, np.arange(20) % 2, class_names=("a", "b"))
    devices, rows = Devices(strategies["one_device"]), {"train": np.arange(20)}
    assert len(dataset.of_rows(source, rows, settings_of(cv__folds=4), devices).moments) == 4
    with pytest.raises(InputError, match="magnitudes above 1e-290"):
        dataset.of_rows(
            from_arrays(x[1:], np.arange(19) % 2, class_names=("a", "b")),
            {"train": np.arange(19)},
            settings_of(),
            devices,
        )
