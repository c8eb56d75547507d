"""The threshold of a run: chosen on rows that the fit has not seen, kept, and used by all that answers."""

import json

import numpy as np
import pyarrow as pa
import pytest
import scipy.special

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import cats_and_dogs
from tf_logreg.errors import InputError
from tf_logreg.results import metrics, record_faults

PETS = {
    name: list(column)
    for name, column in cats_and_dogs.table().items()
    if name not in ("id", "visited", "note")
}


def settings(**fields):
    """The config for tables without a path, a quarter of the rows for validation and a fifth for tests."""
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2 = "", 0, 0.01
    config.data.validation_fraction = 0.25
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


def train(workdir="", label="animal", frame=PETS, **fields):
    return tf_logreg.train(frame, workdir, label=label, config=settings(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"threshold__metric": "f1"},
        {"threshold__metric": "cost", "threshold__cost_fn": 5.0},
        {"threshold__at_recall": 0.95},
        {"threshold__at_precision": 0.9},
        {"threshold__at_rate": 0.1},
    ],
    ids=str,
)
def test_chosen_on_validation_rows(fields):
    model = train(**fields)
    found = model.result["threshold"]
    assert record_faults.faults(json.loads(json.dumps(model.result))) == []
    assert found["value"] == model.threshold
    assert found["chosen_on"] == "validation"
    validation = model.result["metrics"]["validation"]
    assert found["num_rows"] == validation["num_rows"]
    assert validation["per_class"]["recall"][1] == pytest.approx(found["recall"])
    assert validation["per_class"]["precision"][1] == pytest.approx(found["precision"])
    if fields.get("threshold__metric") == "f1":
        assert validation["per_class"]["f1"][1] == pytest.approx(found["best"])
        assert found["best"] >= train().result["metrics"]["validation"]["per_class"]["f1"][1]
    assert f"above probability {found['value']:.4g} (" in model.summary()
    answers = np.where(model.predict_proba(PETS)[:, 1] > model.threshold, "dog", "cat")
    assert (model.predict(PETS) == answers).all()
    assert model.evaluate(PETS)["accuracy"] == np.mean(answers == np.array(PETS["animal"]))


@pytest.mark.parametrize("class_weight", ["", "balanced"])
@pytest.mark.parametrize("output", ["auto", "one_vs_rest"])
def test_chosen_out_of_fold(class_weight, output):
    """Each row's score is that of the fit which had not seen it: fitted again here, alone."""
    fields = {"data__validation_fraction": 0.0, "path__penalty": "l2", "path__values": (0.1, 0.01)}
    fields |= {"cv__folds": 3, "l2": 0.0, "class_weight": class_weight, "model__output": output}
    model = train(**fields, threshold__at_rate=0.25)
    found = model.result["threshold"]
    assert found["chosen_on"] == "held-out"
    assert found["num_rows"] == model.result["metrics"]["train"]["num_rows"]
    assert found["rate"] == pytest.approx(0.25, abs=1 / found["num_rows"])
    # Out of fold the model is less sure of itself, but its scores have nearly the same quantiles.
    called = model.predict_proba(PETS)[:, 1] > model.threshold
    assert called.mean() == pytest.approx(0.25, abs=0.05)


def test_a_given_threshold_needs_no_rows_and_is_kept(tmp_path):
    model = train(str(tmp_path / "run"), threshold__value=0.7, data__validation_fraction=0.0)
    assert model.threshold == 0.7
    assert tf_logreg.load(str(tmp_path / "run")).threshold == 0.7
    assert model.result["threshold"]["rule"] == "value"
    assert "called 'dog' above probability 0.7:" in model.summary()
    plain = train(data__validation_fraction=0.0)
    np.testing.assert_array_equal(model.kernel, plain.kernel)
    assert plain.threshold is None
    assert plain.result["threshold"] is None
    assert model.result["metrics"]["test"]["log_loss"] == plain.result["metrics"]["test"]["log_loss"]


def test_a_second_fit_keeps_it():
    first, second = (train(threshold__metric="youden", data__refit=rows) for rows in ("train", "all"))
    assert second.threshold == first.threshold
    assert second.result["threshold"] == first.result["threshold"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threshold__value": 1.0}, r"threshold\.value: expected a probability in \(0, 1\)"),
        ({"threshold__at_recall": 1.5}, r"threshold\.at_recall: expected a share in \(0, 1\]"),
        ({"threshold__metric": "auc"}, r"threshold\.metric: expected one of accuracy, f1"),
        ({"threshold__metric": "cost", "threshold__cost_fp": 0.0}, r"threshold\.cost_fp: expected a finite"),
        ({"threshold__cost_fn": 2.0}, r"threshold\.cost_fn: expected 1\.0 without threshold\.metric='cost'"),
        ({"threshold__value": 0.2, "threshold__metric": "f1"}, "threshold: expected one of value, metric"),
        (
            {"threshold__metric": "f1", "data__validation_fraction": 0.0},
            r"threshold\.metric: expected data\.validation_fraction, .* Received: 'f1' alone",
        ),
        ({"threshold__at_rate": 1e-9}, r"threshold\.at_rate: expected at least 0\.008\d*, the share of the"),
        ({"threshold__metric": "f1", "evaluate__max_rows": 5}, r"threshold\.metric: expected at most 5 rows"),
    ],
)
def test_refused(fields, message):
    with pytest.raises(InputError, match=message):
        train(**fields)


def test_refused_with_the_rows():
    frame = {"x": [0.0, 1.0, 1.0, 0.0] * 20, "y": list("abab") * 20}
    with pytest.raises(
        InputError, match=r"at_precision: expected at most 0\.\d+, the greatest precision in the"
    ):
        train(label="y", frame=frame, threshold__at_precision=0.99)
    three = frame | {"y": list("abcb") * 20}
    for fields, received in (({"threshold__value": 0.3}, "0.3"), ({"threshold__metric": "f1"}, "'f1'")):
        with pytest.raises(InputError, match=f"expected none with several classes: .* {received} for 3"):
            train(label="y", frame=three, **fields)
    split = {"x": np.arange(40.0), "y": ["a", "b"] * 10 + ["a"] * 20, "t": np.arange(40)}
    with pytest.raises(InputError, match=r"expected validation rows of both classes .* none of 'b'"):
        train(
            label="y", frame=pa.table(split), threshold__metric="f1", data__time="t", data__test_fraction=0.0
        )


def test_scores_are_told_where_they_are():
    z, y = scipy.special.logit(np.array([0.04, 0.04, 0.06, 1.0])), np.array([0, 1, 1, 1])
    _, arrays = metrics.by_threshold(np.minimum(z, 800.0), y, np.array([1, 2, 1, 1], np.float32))
    expected = np.zeros((2, 20))
    expected[0, 0], expected[1, [0, 1, 19]] = 1.0, [0.5, 0.25, 0.25]
    np.testing.assert_array_equal(arrays["scores/share"], expected)
    assert arrays["scores/share"].dtype == np.float64  # float32 counts to 16 million


def test_a_run_leaves_the_tables(tmp_path):
    model = train(str(tmp_path / "run"), threshold__at_rate=0.1)
    tables = np.load(tmp_path / "run" / "metrics.npz")
    for role, values in model.result["metrics"].items():
        threshold, recall = (tables[f"{role}/thresholds/{name}"] for name in ("threshold", "recall"))
        assert tables[f"{role}/thresholds/youden"].max() <= values["ks"] + 1e-12
        assert tables[f"{role}/gains/lift"][0] == values["lift_top_tenth"]
        assert tables[f"{role}/scores/share"].sum(axis=1) == pytest.approx([1, 1])
        # The model's own threshold is one line of the table, or between two.
        at = np.searchsorted(-threshold, -model.threshold)
        expected = values["per_class"]["recall"][1]
        assert recall[max(at - 1, 0)] - 1e-12 <= expected <= recall[at] + 1e-12
    assert f"KS {model.result['metrics']['test']['ks']:.4f} at probability" in model.summary()
