"""Which rows train, validate and test: by shares, names, groups and times."""

import numpy as np
import pytest
from problems import random_problem

from tf_logreg.data import split
from tf_logreg.data.arrays import from_arrays
from tf_logreg.errors import InputError


def test_stratified_split_is_exact_and_seeded():
    x, y, _ = random_problem(1000, 6, 3)
    source = from_arrays(x, y, class_names=("a", "b", "c"))
    rows = split.split_rows(source, validation_fraction=0.1, test_fraction=0.2, seed=0)
    joined = np.concatenate(list(rows.values()))
    assert sorted(joined) == list(range(1000))
    for c in range(3):
        total = (y == c).sum()
        assert abs((y[rows["validation"]] == c).sum() - 0.1 * total) <= 1
        assert abs((y[rows["test"]] == c).sum() - 0.2 * total) <= 1
    again = split.split_rows(source, validation_fraction=0.1, test_fraction=0.2, seed=0)
    other = split.split_rows(source, validation_fraction=0.1, test_fraction=0.2, seed=1)
    assert (rows["test"] == again["test"]).all()
    assert len(set(rows["test"]) & set(other["test"])) < len(rows["test"])


def test_a_class_of_one_row_stays_in_training():
    x, y, _ = random_problem(50, 6, 2)
    y = np.append(y, 2)
    source = from_arrays(np.vstack([x, x[:1]]), y, class_names=("a", "b", "c"))
    rows = split.split_rows(source, validation_fraction=0.45, test_fraction=0.45)
    assert 50 in rows["train"]


def test_named_splits():
    x, y, _ = random_problem(100, 6, 3)
    splits = {"train": range(0, 60), "dev": range(60, 70), "test": range(70, 100)}
    source = from_arrays(x, y, class_names=("a", "b", "c"), splits=splits)
    rows = split.split_rows(source, validation_split="dev", test_split="test")
    assert {role: (ids[0], ids[-1]) for role, ids in rows.items()} == {
        "train": (0, 59),
        "validation": (60, 69),
        "test": (70, 99),
    }
    rows = split.split_rows(source, validation_fraction=0.5, test_split="test")
    assert len(rows["validation"]) in (29, 30, 31)
    assert rows["test"].tolist() == list(range(70, 100))
    for bad in ({"validation_split": "valid"}, {"train_split": "all"}, {"test_split": "train"}):
        with pytest.raises(InputError, match=r"_split: expected"):
            split.split_rows(source, **bad)


def source_with(**extras):
    x, y, _ = random_problem(200, 4, 2)
    return from_arrays(x, y, class_names=("a", "b"), extras=extras)


def test_groups_are_never_on_both_sides():
    group = np.random.default_rng(0).integers(0, 40, 200).astype(str)
    source = source_with(patient=group)
    rows = split.split_rows(source, validation_fraction=0.2, test_fraction=0.2, group="patient", seed=1)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(200))
    sides = [set(group[ids]) for ids in rows.values()]
    assert len(sides) == 3
    assert len(set.union(*sides)) == sum(map(len, sides))
    for role in ("validation", "test"):
        assert abs(len(rows[role]) - 40) <= np.unique(group, return_counts=True)[1].max()
    again = split.split_rows(source, validation_fraction=0.2, test_fraction=0.2, group="patient", seed=1)
    np.testing.assert_array_equal(rows["test"], again["test"])


@pytest.mark.parametrize("kind", [float, "datetime64[D]"])
def test_the_past_trains_and_the_future_tests(kind):
    time = np.random.default_rng(0).permutation(200).astype(int).astype(kind)
    rows = split.split_rows(source_with(day=time), validation_fraction=0.1, test_fraction=0.2, time="day")
    assert {role: len(ids) for role, ids in rows.items()} == {"train": 140, "validation": 20, "test": 40}
    assert time[rows["train"]].max() < time[rows["validation"]].min()
    assert time[rows["validation"]].max() < time[rows["test"]].min()


def test_equal_times_stay_together():
    time = np.repeat(np.arange(10), 20)
    rows = split.split_rows(source_with(day=time), test_fraction=0.25, time="day")
    assert set(time[rows["train"]]) | set(time[rows["test"]]) == set(range(10))
    assert not set(time[rows["train"]]) & set(time[rows["test"]])


@pytest.mark.parametrize(
    ("extras", "options", "message"),
    [
        ({"day": np.arange(200.0)}, {"time": "month"}, "'day'.*Received: 'month'"),
        ({}, {"group": "patient"}, "it has none"),
        ({"day": np.where(np.arange(200) == 7, np.nan, 1.0)}, {"time": "day"}, "none in row 7"),
        ({"p": np.where(np.arange(200) == 9, "", "x")}, {"group": "p"}, "none in row 9"),
        ({"day": np.full(200, np.datetime64("NaT", "D"))}, {"time": "day"}, "none in row 0"),
        ({"p": np.zeros(200, int)}, {"group": "p"}, "no rows are left"),
        ({"day": np.zeros(200)}, {"time": "day"}, "no rows are left"),
    ],
)
def test_groups_and_times_that_cannot_split(extras, options, message):
    with pytest.raises(InputError, match=message):
        split.split_rows(source_with(**extras), test_fraction=0.2, **options)
