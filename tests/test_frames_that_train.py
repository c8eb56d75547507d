"""`tf_logreg.train` of frames and `Model.evaluate`: offsets and missing values count, odd labels are refused."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.errors import InputError
from tf_logreg.modes import evaluate
from tf_logreg.tables import schema_file

N = 80
DRAW = np.random.default_rng(0)
FRAME = {"x": DRAW.normal(size=N), "off": DRAW.normal(size=N), "y": np.arange(N) % 2}


def train(frame, **data):
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2 = "", 0, 0.1
    config.data.update(data)
    return tf_logreg.train(frame, label="y", config=config)


def test_an_offset_counts():
    losses = [
        train({**FRAME, "off": FRAME["off"] * scale}, offset="off").result["metrics"]["train"]["log_loss"]
        for scale in (0.0, 10.0)
    ]
    assert losses[1] > 2 * losses[0]
    with pytest.raises(InputError, match=r"data.offset: expected real numbers"):
        train({**FRAME, "off": ["a"] * N}, offset="off")


def test_infinite_numbers_and_empty_words_are_missing():
    word = np.array(["u", "v"] * (N // 2), object)
    word[:8] = ""
    x = FRAME["x"].copy()
    x[:8] = np.inf
    for odd in ({"word": word}, {"x": x}):
        count = train({**FRAME, **odd}, missing="drop", test_fraction=0.0).result["metrics"]["train"][
            "num_rows"
        ]
        assert count == N - 8
        with pytest.raises(InputError, match=r"data.missing: .* Received: 8 in column .* row 0 of"):
            train({**FRAME, **odd}, missing="error", test_fraction=0.0)


def test_huge_numbers_are_refused_without_a_warning():
    with pytest.raises(InputError, match=r"x: expected magnitudes below"):
        train({**FRAME, "x": np.sign(FRAME["x"]) * 1.5e308})


def test_evaluate_refuses_what_it_cannot_measure():
    model = train(FRAME)
    with pytest.raises(InputError, match=r"label: expected one of 0, 1. Received: inf in row 0"):
        model.evaluate({**FRAME, "y": np.full(N, np.inf)})
    with pytest.raises(InputError, match=r"frame: expected rows"):
        model.evaluate({name: values[:0] for name, values in FRAME.items()})
    bare = dataclasses.replace(model, schema=None)
    assert bare.evaluate(FRAME, "y") == model.evaluate(FRAME)
    with pytest.raises(InputError, match=r"frame: expected the column 'x', a feature"):
        bare.evaluate({"off": FRAME["off"], "y": FRAME["y"]}, "y")


def test_batches_and_the_options_of_a_run():
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2, config.solver.name = "", 0, 0.1, "minibatch"
    config.minibatch.epochs = 2
    options = {"device_memory_fraction": 0.25, "overwrite": True}
    model = tf_logreg.train(FRAME, label="y", config=config, **options)
    assert np.isfinite(model.evaluate(FRAME)["log_loss"])


def test_a_schema_of_another_label(tmp_path):
    schema = {**schema_file.to_json(train(FRAME).schema), "label": "z"}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    assert train(FRAME, schema=str(tmp_path)).schema.label == "y"


def test_rows_that_are_left_out_teach_nothing():
    gaps = np.where(np.arange(N) < 30, np.nan, FRAME["x"])
    far = np.where(np.arange(N) < 30, 1e6, FRAME["off"])
    model = train({**FRAME, "x": gaps, "off": far}, missing="drop")
    assert model.feature_names == ("x", "off")  # and no 'x is missing'
    assert model.schema.column("off").seen.high < 10


def test_a_fit_is_timed_and_its_rows_cannot_be_read_again(tmp_path):
    config = configs.load("table")
    model = tf_logreg.train(FRAME, str(tmp_path / "run"), label="y", config=config)
    assert {"data", "fit", "evaluate"} <= train(FRAME).result["seconds"].keys()
    assert (model.kernel == tf_logreg.train(FRAME, label="y", config=config).kernel).all()
    with pytest.raises(InputError, match=r"Received: 'frame', a data frame"):
        evaluate.evaluate_run(str(tmp_path / "run"), strategy=tf_logreg.make_strategy())


@pytest.mark.parametrize(
    "labels",
    [np.array([3, 10]), np.array([False, True]), np.array([0.0, 1.0]), np.array(["no", "yes"])],
    ids=["whole numbers", "booleans", "floats", "words"],
)
def test_labels_come_back_as_they_went_in(labels):
    """A model that gives '1' for 1 is wrong in every row of a comparison, in silence."""
    frame = {**FRAME, "x": FRAME["x"] + 3 * FRAME["y"], "y": labels[FRAME["y"]]}
    model = train(frame)
    found = model.predict(frame)
    assert found.dtype.kind == labels.dtype.kind
    assert (found == frame["y"]).mean() > 0.8
    again = schema_file.of_json(schema_file.to_json(model.schema), "schema.json")
    assert again.label_type == model.schema.label_type


def test_the_positive_class_chooses_no_other_labels():
    model = train({**FRAME, "x": FRAME["x"] + 3 * FRAME["y"]}, positive_class="0")
    assert model.class_names == ("1", "0")
    assert set(model.predict(FRAME)) == {0, 1}


def test_a_number_cannot_say_that_there_is_no_prediction():
    model = train(FRAME)
    with pytest.raises(InputError, match=r"x: expected finite features.*in row 1, counted from 0"):
        model.predict(np.array([[0.0, 0.0], [np.nan, 0.0]]))


def test_a_column_that_tells_the_label_is_warned_of_in_python_too(caplog):
    frame = {**FRAME, "told": FRAME["y"] + 0.01 * FRAME["x"]}
    model = train(frame)
    (record,) = [one for one in caplog.records if "a leak?" in one.message]
    assert record.levelname == "WARNING"
    assert "told: a leak?" in model.summary()
    with pytest.warns(UserWarning, match=r"told: a leak\?"):
        tf_logreg.LogisticRegression().fit(
            pd.DataFrame({"told": frame["told"], "word": ["a", "b"] * 40}), frame["y"]
        )


def test_a_choice_by_folds_refuses_words_and_says_what_takes_them():
    frame = pd.DataFrame({"x": FRAME["x"], "word": ["a", "b"] * 40})
    with pytest.raises(InputError, match=r"X: expected numbers.*'word'.*tf_logreg\.train"):
        tf_logreg.LogisticRegressionCV().fit(frame, FRAME["y"])
