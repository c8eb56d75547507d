"""evaluate.slices: metrics by the levels of a column are those of its rows alone."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import cats_and_dogs, slices
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.errors import InputError
from tf_logreg.model import summary
from tf_logreg.results import record_faults
from tf_logreg.tables.table import Table, plain

PETS = {
    name: list(column)
    for name, column in cats_and_dogs.table().items()
    if name not in ("id", "visited", "note")
}


def train(frame=PETS, **fields):
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2 = "", 0, 0.01
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return tf_logreg.train(frame, label="animal", config=config)


def test_a_level_has_the_metrics_of_its_rows():
    model = train(data__test_fraction=0.5, evaluate__slices=("ears", "indoor"))
    assert record_faults.faults(json.loads(json.dumps(model.result))) == []
    assert "slices" not in model.result["metrics"]["train"]
    test = model.result["metrics"]["test"]
    for column in ("ears", "indoor"):
        assert sum(one["num_rows"] for one in test["slices"][column].values()) == test["num_rows"]
    # All rows, by `Model.evaluate` of the rows of a level alone.
    table = pa.table(PETS)
    whole = train(data__test_fraction=0.0, evaluate__slices=("ears", "indoor"))
    for column in ("ears", "indoor"):
        for level, found in whole.result["metrics"]["train"]["slices"][column].items():
            cells = [str(value).lower() if isinstance(value, bool) else value for value in PETS[column]]
            mask = np.array([(level == "(missing)") if cell is None else cell == level for cell in cells])
            expected = whole.evaluate(table.filter(pa.array(mask)))
            for name in ("num_rows", "log_loss", "accuracy", "roc_auc"):
                assert found[name] == pytest.approx(expected[name], rel=1e-5), (column, level, name)
            assert "accuracy_interval" not in found  # training rows
    text = summary.table(model.result["metrics"])
    assert "    by ears:" in text
    long = {"x" * 50 + str(k): one for k, one in enumerate(test["slices"]["ears"].values())}
    lines = summary.slice_lines({"slices": {"ears": long}})
    assert len({line.split()[0] for line in lines[1:]}) == len(long)
    level, found = next(iter(test["slices"]["ears"].items()))
    low, high = found["accuracy_interval"]
    assert f"      {level}" in text
    assert f"accuracy {found['accuracy']:.3f} ({low:.3f} to {high:.3f})" in text


def test_rare_words_are_joined_and_missing_ones_are_a_level():
    words = [f"w{k % 30:02d}" for k in range(300)] + ["w00", None, "w29"]
    found = slices.of_table(Table(pa.table({"a": words, "n": [1.5, 10.0, 2.0] * 101}), {}), ("a", "n", "z"))
    assert set(found) == {"a", "n"}
    names, codes = found["a"]
    assert names[:2] == ("w00", "w29")
    assert names[-2:] == ("(others)", "(missing)")
    assert len(names) == 22
    assert names[codes[301]] == "(missing)"
    assert (codes == 20).sum() == 100
    assert found["n"].names[:3] == ("1.5", "2", "10")


def test_dates_are_levels_in_their_order():
    days = [datetime.datetime(2025, 3, 1), datetime.datetime(2024, 12, 24, 18, 30), None]
    found = slices.of_table(Table(plain(pa.table({"day": days * 4})), {}), ("day",))["day"]
    assert found.names == ("2024-12-24 18:30:00.000000", "2025-03-01", "(others)", "(missing)")
    assert found.codes.tolist() == [1, 0, 3] * 4


def test_codes_of_many_digits_stay_levels_of_their_own():
    x = np.array([[20230101.0], [20230102.0], [20230101.0], [20230103.0]])
    source = from_arrays(x, np.arange(4) % 2, class_names=("a", "b"), feature_names=("code",))
    found = slices.with_levels(source, ("code",), {"train": np.arange(4)}).levels["code"]
    assert found.names == ("20230101", "20230102", "20230103")
    assert found.codes.tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("sparse", [False, True])
def test_features_of_few_values(sparse):
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 3, 60), rng.normal(size=60)], axis=1)
    make = from_sparse if sparse else from_arrays
    given = scipy.sparse.csr_array(x) if sparse else x
    source = make(given, np.arange(60) % 2, class_names=("a", "b"), feature_names=("k", "z"))
    rows = {"train": np.arange(0, 60, 2), "test": np.arange(1, 40, 2)}
    names, codes = slices.with_levels(source, ("k",), rows).levels["k"]
    used = np.sort(np.concatenate(list(rows.values())))
    assert names == ("0", "1", "2")
    np.testing.assert_array_equal(codes[used], x[used, 0])
    assert (np.delete(codes, used) == -1).all()
    with pytest.raises(
        InputError, match=r"evaluate\.slices: .* at most 20 values\. Received: 50 values of 'z'"
    ):
        slices.with_levels(source, ("z",), rows)


def test_refused():
    with pytest.raises(InputError, match=r"columns of the table, or features\. Received: 'eras'"):
        train(evaluate__slices=("eras",))
    with pytest.raises(InputError, match=r"at most 20 values\. Received: \d+ values of 'weight'"):
        train(evaluate__slices=("weight",))
    with pytest.raises(InputError, match=r"evaluate\.slices: expected names of columns, each once"):
        train(evaluate__slices=("ears", "ears"))
    x = np.zeros((4, 2))
    source = from_arrays(x, np.arange(4) % 2, class_names=("a", "b"), feature_names=("k", "k"))
    with pytest.raises(InputError, match=r"the name of one column\. Received: 'k'"):
        slices.with_levels(source, ("k",), {"train": np.arange(4)})
