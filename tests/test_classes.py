"""Classes and features by the command line: declared but absent, of one name, in another order."""

import json

import numpy as np
import pytest

from tf_logreg.errors import InputError
from tf_logreg.model.coefficients import read_start
from tf_logreg.model.head import Head
from tf_logreg.results import workdir as directory

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 3))
Y = (X[:, 0] + RNG.logistic(size=N) > 0).astype(int) + (X[:, 1] > 0.8)


def run(command, folder, *arguments, name="run", **arrays):
    """Trains on arrays: (exit code, stdout, stderr, result)."""
    np.savez(folder / f"{name}.npz", **{"x": X, "y": Y, **arrays})
    code, out, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={folder}/{name}.npz", "--config.l2=0.01",
        f"--workdir={folder}/{name}", *arguments,
    )  # fmt: skip
    file = folder / name / "result.json"
    return code, out, err, json.loads(file.read_text()) if file.exists() else None


def evaluate(command, folder, name="run", **arrays):
    """Measures a run on other arrays: (exit code, stderr, metrics of all rows)."""
    np.savez(folder / "other.npz", **{"x": X, "y": Y, **arrays})
    code, _, err = command(
        "--mode=evaluate", f"--workdir={folder}/{name}", "--config=numpy_arrays",
        f"--config.data.args.path={folder}/other.npz", "--config.data.validation_fraction=0.0",
        "--config.data.test_fraction=0.0",
    )  # fmt: skip
    if code:
        return code, err, None
    return code, err, json.loads((folder / name / "evaluation.json").read_text())["metrics"]["all"]


def coefficients(folder, name="run"):
    with np.load(folder / name / "coefficients.npz") as arrays:
        return dict(arrays)


def test_declared_classes_without_rows_are_left_out_and_said(command, tmp_path):
    _, _, _, plain = run(command, tmp_path, name="plain", y=Y)
    code, out, err, result = run(
        command, tmp_path, y=np.array([1, 3, 4])[Y], class_names=["none", "a", "nobody", "b", "c"]
    )
    assert code == 0, err
    assert "2 of 5 declared classes have no rows and are left out: 'none', 'nobody'" in out
    assert result["absent_classes"] == ["none", "nobody"]
    assert result["num_classes"] == 3
    assert plain["absent_classes"] == []
    assert result["objective"] == plain["objective"]
    assert coefficients(tmp_path)["class_names"].tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(coefficients(tmp_path)["kernel"], coefficients(tmp_path, "plain")["kernel"])

    # Its own data, and others that declare the absent class: fine without rows of it, named with them.
    code, _, err = command("--mode=evaluate", f"--workdir={tmp_path}/run")
    assert code == 0, err
    measured = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]
    assert measured["test"]["log_loss"] == pytest.approx(result["metrics"]["test"]["log_loss"], rel=1e-6)
    names = ["c", "nobody", "a", "b"]
    code, err, _ = evaluate(command, tmp_path, y=np.array([2, 3, 0])[Y], class_names=names)
    assert code == 0, err
    code, err, _ = evaluate(
        command, tmp_path, y=np.where(np.arange(N) == 9, 1, np.array([2, 3, 0])[Y]), class_names=names
    )
    assert code == 2
    assert "y: expected the classes 'a', 'b', 'c'. Received: 'nobody'" in err


def test_absent_classes_that_leave_two_or_one(command, tmp_path):
    code, _, err, result = run(command, tmp_path, y=np.minimum(Y, 1) * 2, class_names=["a", "b", "c"])
    assert code == 0, err
    assert coefficients(tmp_path)["kernel"].shape == (3, 1)
    assert result["num_classes"] == 2
    code, _, err, _ = run(command, tmp_path, name="one", y=Y * 0 + 1, class_names=["a", "b", "c"])
    assert code == 2
    assert "at least two classes. Received: only 'b'" in err


def test_a_positive_class_beside_one_without_rows(command, tmp_path):
    code, _, err, result = run(
        command,
        tmp_path,
        "--config.data.positive_class=a",
        y=np.minimum(Y, 1) * 2,
        class_names=["a", "b", "c"],
    )
    assert code == 0, err
    assert coefficients(tmp_path)["class_names"].tolist() == ["c", "a"]
    assert result["absent_classes"] == ["b"]
    code, _, err = command("--mode=evaluate", f"--workdir={tmp_path}/run")
    assert code == 0, err
    measured = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]
    assert measured["test"]["log_loss"] == pytest.approx(result["metrics"]["test"]["log_loss"], rel=1e-6)


def test_rows_of_one_class_are_measured(command, tmp_path):
    names = np.array(["a", "b", "c"])
    run(command, tmp_path, y=names[Y])
    code, err, found = evaluate(command, tmp_path, x=X[Y == 1], y=names[Y[Y == 1]])
    assert code == 0, err
    assert found["label/mean"] == [0, 1, 0]
    code, err, _ = evaluate(command, tmp_path, x=X[Y == 1], y=np.full((Y == 1).sum(), "d"))
    assert code == 2
    assert "Received: 'd'" in err


def test_a_class_that_no_training_row_has_is_an_error_that_says_where_it_is(command, tmp_path):
    late = np.where(np.arange(N) < 190, np.minimum(Y, 1), 2)
    code, _, err, _ = run(command, tmp_path, "--config.data.time=when", y=late, when=np.arange(N))
    assert code == 2
    assert "none of '2', of 3 classes; of their rows there are 10 in test" in err
    code, _, err, _ = run(command, tmp_path, weight=(Y != 2) * 1.0)
    assert code == 2
    assert "none of '2'" in err
    assert "in train" in err


def test_two_classes_of_one_name_are_two_classes(command, tmp_path):
    names = ["crane", "swan", "crane"]
    _, _, _, plain = run(command, tmp_path, name="plain")
    code, _, err, result = run(command, tmp_path, class_names=names)
    assert code == 0, err
    assert result["metrics"] == plain["metrics"]
    _, _, apart = evaluate(command, tmp_path, name="plain")
    code, err, found = evaluate(command, tmp_path, class_names=names)
    assert code == 0, err
    assert found == apart
    code, err, _ = evaluate(command, tmp_path, y=np.array(names)[Y])
    assert code == 2
    code, err, _ = evaluate(
        command, tmp_path, y=np.array([1, 2, 0])[Y], class_names=["crane", "crane", "swan"]
    )
    assert code == 2
    assert "'crane', the name of classes 0 and 1" in err
    code, _, err, _ = run(command, tmp_path, "--config.class_weight=swan=2", name="swan", class_names=names)
    assert code == 0, err
    code, _, err, _ = run(command, tmp_path, "--config.class_weight=crane=2", name="crane", class_names=names)
    assert code == 2
    assert "'crane', the name of classes 0 and 2" in err


def test_classes_and_features_of_one_name_are_told_apart_in_messages(command, tmp_path):
    x = np.column_stack([X[:, 0], np.where(Y == 2, 1, -1)])
    code, out, err, result = run(
        command,
        tmp_path,
        "--config.l2=0.0",
        x=x,
        class_names=["", "swan", "swan"],
        feature_names=["size", "size"],
    )
    assert code == 0, err
    assert result["status"] == "separated"
    assert "'size #1'" in out
    assert "'swan #2'" in out
    code, _, err, _ = run(
        command, tmp_path, name="bad", x=np.where(X > 2, np.nan, X), feature_names=["a", "a", ""]
    )
    assert code == 2
    assert "column 'a #" in err or "column '#2'" in err


@pytest.mark.parametrize(
    "changes",
    [
        {"class_names": np.array(["a", "b\ud800", "c"])},
        {"feature_names": np.array(["a", "b", "\udfff"])},
        {"class_names": np.array([b"a", b"b\xf6", b"c"])},
        {"y": np.array(["a", "\ud800", "c"])[Y]},
    ],
)
def test_names_that_cannot_be_written_are_told_before_the_fit(command, tmp_path, changes):
    code, _, err, _ = run(command, tmp_path, **changes)
    assert code == 2
    assert "in row" in err
    assert not (tmp_path / "run").exists()


def test_names_in_bytes_and_empty_ones_come_back_as_text(command, tmp_path):
    code, _, err, _ = run(
        command, tmp_path, class_names=[b"", "b\u00f6se".encode(), b"c"], feature_names=[b"u", b"", b"u"]
    )
    assert code == 0, err
    found = coefficients(tmp_path)
    assert found["class_names"].tolist() == ["", "b\u00f6se", "c"]
    assert found["feature_names"].tolist() == ["u", "", "u"]
    code, _, err = command("--mode=evaluate", f"--workdir={tmp_path}/run")
    assert code == 0, err


def test_features_in_another_order_are_taken_by_name(command, tmp_path):
    run(command, tmp_path, feature_names=["a", "b", "c"])
    _, _, plain = evaluate(command, tmp_path, feature_names=["a", "b", "c"])
    code, err, found = evaluate(command, tmp_path, x=X[:, [2, 0, 1]], feature_names=["c", "a", "b"])
    assert code == 0, err
    assert found == plain
    code, err, _ = evaluate(command, tmp_path, feature_names=["a", "b", "d"])
    assert code == 2
    assert "without 'c' and with 'd'" in err


def test_a_warm_start_takes_features_by_name(command, tmp_path):
    run(command, tmp_path, feature_names=["a", "b", "c"])
    found, folder = coefficients(tmp_path), directory.of(f"{tmp_path}/run")
    kernel, bias = read_start(folder, ("c", "a", "b"), ("0", "1", "2"), Head("softmax", 3))
    np.testing.assert_array_equal(kernel, found["kernel"][[2, 0, 1]])
    np.testing.assert_array_equal(bias, found["bias"])
    with pytest.raises(InputError, match="same feature_names"):
        read_start(folder, ("c", "a", "d"), ("0", "1", "2"), Head("softmax", 3))


def test_offsets_follow_the_classes(command, tmp_path):
    """A file that declares its classes in another order has its offsets' columns in that order too."""
    offset = RNG.normal(size=(N, 3))
    arguments = ["--config.data.offset=o", "--config.model.output=softmax"]
    _, _, err, result = run(
        command, tmp_path, *arguments, name="plain", o=offset, class_names=["a", "b", "c"]
    )
    four = np.insert(offset[:, ::-1], 1, 9.0, axis=1)
    code, _, err, turned = run(
        command, tmp_path, *arguments, y=np.array([3, 2, 0])[Y], o=four, class_names=["c", "none", "b", "a"]
    )
    assert code == 0, err
    assert turned["objective"] != 0
    for split in ("train", "test"):
        assert set(turned["metrics"][split]) == set(result["metrics"][split])
    np.savez(
        tmp_path / "other.npz", x=X, y=np.array([3, 2, 0])[Y], o=four, class_names=["c", "none", "b", "a"]
    )
    losses = []
    for file in ("plain", "other"):
        code, _, err = command(
            "--mode=evaluate", f"--workdir={tmp_path}/plain", "--config=numpy_arrays", *arguments,
            f"--config.data.args.path={tmp_path}/{file}.npz", "--config.data.validation_fraction=0.0",
            "--config.data.test_fraction=0.0",
        )  # fmt: skip
        assert code == 0, err
        losses.append(
            json.loads((tmp_path / "plain" / "evaluation.json").read_text())["metrics"]["all"]["log_loss"]
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
