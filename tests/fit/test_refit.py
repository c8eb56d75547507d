"""data.refit='all': saved is the fit to all rows; metrics are those of the fit to the training rows."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import cats_and_dogs
from tf_logreg.errors import InputError
from tf_logreg.modes import evaluate
from tf_logreg.results import record_faults
from tf_logreg.tables import schema_file

PETS = {
    name: list(column)
    for name, column in cats_and_dogs.table().items()
    if name not in ("id", "visited", "note")
}
NEAR = {"rtol": 1e-5, "atol": 1e-7}


def settings(fields):
    """The config for tables without a path; fields by their dotted names."""
    config = configs.load("table")
    config.path.penalty, config.cv.folds = "", 0
    config.update_from_flattened_dict(fields)
    return config


def train(frame=PETS, label="animal", workdir="", **fields):
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return tf_logreg.train(frame, workdir, label=label, config=settings(named))


def of_all_rows(first, tmp_path, frame=PETS, label="animal", **fields):
    """The fit to all rows at once, with the features of another."""
    (tmp_path / "schema.json").write_text(schema_file.text(first.schema))
    rows = {"data__test_fraction": 0.0, "data__schema": str(tmp_path)}
    return train(frame, label, **rows, **fields)


def test_saved_is_the_fit_to_all_rows_and_measured_the_other(tmp_path):
    saved, first = train(l2=0.01, data__refit="all"), train(l2=0.01)
    result = saved.result
    assert record_faults.faults(json.loads(json.dumps(result))) == []
    assert result["metrics"] == first.result["metrics"]
    assert (result["num_rows"], result["measured"]["num_rows"]) == (480, 384)
    for name in ("objective", "certified_gap", "status", "l2", "C"):
        assert result["measured"][name] == first.result[name]
    assert first.result["measured"] is None
    assert saved.schema == first.schema
    alone = of_all_rows(first, tmp_path, l2=0.01)
    np.testing.assert_allclose(saved.kernel, alone.kernel, **NEAR)
    np.testing.assert_allclose(saved.mean, alone.mean, rtol=1e-12)
    np.testing.assert_allclose(saved.deviation, alone.deviation, rtol=1e-12)
    assert result["status"] == "optimal"
    for name in ("objective", "l2", "C"):
        assert result[name] == pytest.approx(alone.result[name], rel=1e-9)
    assert result["certified_gap"] < 1e-6


def test_the_end_of_a_run_says_which_fit_is_saved():
    text = train(l2=0.01, data__refit="all").summary()
    assert "saved is the fit to all 480 rows (data.refit='all'); measured was the one to the 384" in text
    assert "once it is measured" not in text
    assert "data.refit='all' fits this model again to all 480 rows" in train(l2=0.01).summary()
    assert "data.refit" not in train(l2=0.01, data__test_fraction=0.0).summary()


def test_the_penalty_stays_in_the_unit_in_which_it_was_given(tmp_path):
    folds = {"path__penalty": "l2", "cv__folds": 3}
    saved = train(**folds, path__values=(1.0, 0.01, 1e-4), data__refit="all")
    assert saved.result["l2"] == saved.result["path"]["chosen"] == saved.result["measured"]["l2"]
    for fields in ({**folds, "path__C": (0.01, 1.0, 100.0)}, {"C": 2.0, "class_weight": "balanced"}):
        saved = train(**fields, data__refit="all")
        found, measured = saved.result, saved.result["measured"]
        assert found["C"] == pytest.approx(measured["C"], rel=1e-12)
        assert found["l2"] == pytest.approx(measured["l2"] * 384 / 480, rel=1e-12)
        single = {name: value for name, value in fields.items() if name == "class_weight"}
        alone = of_all_rows(saved, tmp_path, C=found["C"], **single)
        np.testing.assert_allclose(saved.kernel, alone.kernel, **NEAR)


def test_rows_of_another_size_than_those_of_training(tmp_path):
    y = np.arange(200) % 2
    x = np.random.default_rng(0).normal(size=200) + y
    frame = {
        "x": np.where(np.arange(200) < 150, x * 1e-40, x),
        "z": x[::-1].copy(),
        "t": np.arange(200),
        "y": y,
    }
    fields = {"l2": 0.01, "data__time": "t"}
    first = train(frame, "y", **fields)
    saved = train(frame, "y", **fields, data__refit="all")
    alone = of_all_rows(first, tmp_path, frame, "y", l2=0.01)
    np.testing.assert_allclose(saved.kernel, alone.kernel, **NEAR)


def test_batches():
    config = settings({"solver.name": "minibatch", "minibatch.epochs": 2, "data.refit": "all"})
    found = tf_logreg.train(PETS, label="animal", config=config).result
    assert (found["status"], found["num_rows"]) == ("finished", 480)
    assert found["iterations"] == found["measured"]["iterations"] == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data__refit": "both"}, r"data.refit: expected 'train' or 'all'. Received: 'both'"),
        ({"data__test_fraction": 0.0}, r"data.refit: expected 'train' without validation and test rows"),
        (
            {
                "solver__name": "minibatch",
                "data__validation_fraction": 0.2,
                "minibatch__early_stopping__metric": "log_loss",
            },
            r"data.refit: expected 'train' with minibatch.early_stopping.metric, .* 'all' and 'log_loss'",
        ),
    ],
)
def test_where_it_makes_no_sense(fields, message):
    with pytest.raises(InputError, match=message):
        train(**{"data__refit": "all", **fields})


def test_the_files_of_a_run_are_of_the_fit_to_all_rows(tmp_path, strategies, caplog):
    pyarrow.csv.write_csv(pa.table(PETS), tmp_path / "pets.csv")
    config, work = settings({"l2": 0.01, "data.refit": "all", "data.label": "animal"}), str(tmp_path / "run")
    config.data.args.path = str(tmp_path / "pets.csv")
    result = tf_logreg.train(config, work)
    assert result["seconds"].keys() == {"setup", "data", "fit", "evaluate", "refit", "export"}
    np.testing.assert_array_equal(tf_logreg.load(work).kernel, train(l2=0.01, data__refit="all").kernel)
    events = b"".join(path.read_bytes() for path in (tmp_path / "run/events").iterdir())
    assert b"refit/train/objective" in events
    evaluate.evaluate_run(work, strategy=strategies["off"])
    assert "the model was fitted to all of these rows" in caplog.text
