"""A path from the command line: what it leaves, what it prints, and one message for everything bad."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf
from problems import objective, random_problem

from tf_logreg import config as configs
from tf_logreg.devices import placement
from tf_logreg.errors import InputError
from tf_logreg.fit.full_batch import memory
from tf_logreg.fit.path import strengths
from tf_logreg.model import figures

SMALL = ["--config.data.test_fraction=0.2", "--config.data.validation_fraction=0.0"]


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """150 rows of 4 features, 3 classes, with groups and times, as an .npz."""
    x, y, weight = random_problem(150, 4, 3)
    target = tmp_path_factory.mktemp("arrays") / "a.npz"
    np.savez(target, x=x, y=np.array(["low", "mid", "top"])[y], weight=weight, g=np.arange(150) // 3,
             late=(y == 2) * 1000 + np.arange(150), pair=np.arange(150) % 2)  # fmt: skip
    return target


def flags(arrays, *more):
    return ["--config=numpy_arrays", f"--config.data.args.path={arrays}", "--config.l2=0.0", *SMALL, *more]


@pytest.mark.parametrize("output", ["softmax", "one_vs_rest"])
def test_a_path_leaves_its_files_and_the_chosen_fit(command, arrays, tmp_path, output):
    run = tmp_path / "run"
    given = flags(arrays, "--config.path.penalty=l2", "--config.path.values=(1.0,0.1,0.01,0.001)", "--config.cv.folds=3",
                  f"--config.model.output={output}", f"--workdir={run}")  # fmt: skip
    code, out, err = command(*given)
    assert code == 0, err
    result = json.loads((run / "result.json").read_text())
    assert result["status"] == "optimal"
    found = result["path"]
    assert (
        np.shape(found["scores"]) == np.shape(found["certified_gap"]) == np.shape(found["passes"]) == (4, 3)
    )
    assert {status for row in found["status"] for status in row} == {"optimal"}
    means = np.mean(found["scores"], axis=1)
    assert found["choice"] == means.argmin()
    assert (
        f"l2={found['chosen']:.3g} (C={found['C'][found['choice']]:.3g}), number {found['choice'] + 1} of 4: "
        f"held-out log loss {means.min():.6f}" in out
    )
    assert found["chosen"] == found["values"][found["choice"]]
    with np.load(run / "path.npz") as saved:
        assert saved["kernel"].shape == (4, 3, 4, 3)
        np.testing.assert_array_equal(saved["scores"], found["scores"])
    with (run / "path.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["l2"]) for line in lines[::3]] == found["values"]
    assert [float(line["score"]) for line in lines] == np.ravel(found["scores"]).tolist()
    assert sum(int(line["chosen"]) for line in lines) == 3
    assert (run / "path.png").read_bytes()[1:4] == b"PNG"

    # The same rows by a single fit at the chosen strength end at the same optimum.
    code, _, err = command(
        *flags(
            arrays,
            f"--config.l2={found['chosen']!r}",
            f"--config.model.output={output}",
            f"--workdir={tmp_path}/one",
        )
    )
    assert code == 0, err
    single = json.loads((tmp_path / "one" / "result.json").read_text())
    assert result["objective"] == pytest.approx(single["objective"], abs=2e-6)
    assert single["path"] is None

    # What is exported and what evaluates again is the refitted model, with its own kind of probabilities.
    assert command("--mode=evaluate", f"--workdir={run}")[0] == 0
    again = json.loads((run / "evaluation.json").read_text())["metrics"]
    assert again == result["metrics"]
    serve = tf.saved_model.load(str(run / "export")).signatures["serving_default"]
    with np.load(run / "coefficients.npz") as c, np.load(arrays) as a:
        x, z = a["x"].astype(np.float32), a["x"] @ c["kernel"] + c["bias"]
    served = serve(features=tf.constant(x))["probabilities"].numpy()
    chances = np.exp(z) if output == "softmax" else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(served, chances / chances.sum(axis=1, keepdims=True), rtol=1e-4)

    # Another run of the same command prints the same; --overwrite leaves nothing of the path behind.
    assert command(*given)[1] == out
    plain = flags(arrays, "--config.l2=0.1", f"--workdir={run}", "--overwrite")
    assert command(*plain)[0] == 0
    assert not list(run.glob("path.*"))


def test_one_against_the_rest_is_binary_fits(command, arrays, tmp_path):
    run = tmp_path / "run"
    code, _, err = command(
        *flags(arrays, "--config.l2=0.01", "--config.model.output=one_vs_rest", "--dtype=float64", "--config.solver.tol=1e-12",
               "--config.data.test_fraction=0.0", f"--workdir={run}")
    )  # fmt: skip
    assert code == 0, err
    result = json.loads((run / "result.json").read_text())
    with np.load(run / "coefficients.npz") as many:
        kernel, bias = many["kernel"], many["bias"]
    with np.load(arrays) as a:
        x, names, weight = a["x"], a["y"], a["weight"]
    total = 0.0
    for c, name in enumerate(("low", "mid", "top")):
        np.savez(tmp_path / "two.npz", x=x, y=(names == name).astype(int), weight=weight)
        code, _, err = command(
            *flags(tmp_path / "two.npz", "--config.l2=0.01", "--dtype=float64", "--config.solver.tol=1e-12",
                   "--config.data.test_fraction=0.0", f"--workdir={tmp_path}/two", "--overwrite")
        )  # fmt: skip
        assert code == 0, err
        with np.load(tmp_path / "two" / "coefficients.npz") as two:
            np.testing.assert_allclose(kernel[:, c], two["kernel"][:, 0], atol=1e-6)
            assert bias[c] == pytest.approx(two["bias"][0], abs=1e-6)
        spread = np.sqrt(np.average((x - np.average(x, axis=0, weights=weight)) ** 2, axis=0, weights=weight))
        loss = objective(x, (names == name).astype(int), kernel[:, [c]], bias[[c]], weight=weight)
        total += loss + 0.005 * np.square(kernel[:, c] * spread).sum()
    assert result["objective"] == pytest.approx(total, abs=1e-9)


PATH = ["--config.path.penalty=l2", "--config.cv.folds=3"]
BAD = {
    "no points": (["--config.path.num=0", *PATH], "path.num: expected a whole number >= 2"),
    "unsorted": (["--config.path.values=(0.1,1.0)", *PATH], "path.values: expected numbers in decreasing order"),
    "twice": (["--config.path.values=(1.0,1.0)", *PATH], "each once"),
    "negative": (["--config.path.values=(1.0,-1.0)", *PATH], "path.values: expected finite numbers >= 0"),
    "infinite": (["--config.path.values=(1e999,1.0)", *PATH], "path.values: expected finite numbers >= 0"),
    "words": (["--config.path.values=('a','b')", *PATH], "path.values: expected finite numbers >= 0"),
    "ratio": (["--config.path.ratio=1.0", *PATH], "path.ratio: expected a fraction in (0, 1)"),
    "unknown penalty": (["--config.path.penalty=l3", "--config.cv.folds=3"], "expected 'l1', 'l2', 'elastic_net' or ''"),
    "one fold": (["--config.path.penalty=l2", "--config.cv.folds=1"], "cv.folds: expected 0 or a whole number >= 2"),
    "more folds than rows of a class": (["--config.path.penalty=l2", "--config.cv.folds=99"], "the training rows of class"),
    "nothing to choose by": (["--config.path.penalty=l2", "--config.cv.folds=0"], "expected cv.folds, data.validation_fraction or"),
    "nothing to choose": (["--config.cv.folds=3"], "cv.folds: expected 0 without path.penalty"),
    "the penalty twice": ([*PATH, "--config.l2=0.1"], "l2: expected 0.0 with path.penalty='l2'"),
    "minibatch": ([*PATH, "--config.solver.name=minibatch"], "path.penalty: expected ''"),
    "a smooth method": (["--config.path.penalty=l1", "--config.cv.folds=3", "--config.solver.name=lbfgs"], "proximal_newton"),
    "unknown metric": ([*PATH, "--config.cv.metric=f1"], "cv.metric: expected one of log_loss, accuracy"),
    "unknown choice": ([*PATH, "--config.cv.choose=median"], "expected one of best, one_standard_error"),
    "no error of one": (
        ["--config.path.penalty=l2", "--config.cv.choose=one_standard_error", "--config.data.validation_fraction=0.1"],
        "cv.choose: expected 'best' without cv.folds",
    ),
    "no such group": ([*PATH, "--config.data.group=h"], "data.group: expected one of"),
    "too few groups": ([*PATH, "--config.data.group=pair"], "cv.folds: expected at most 2, the groups"),
    "too few times": ([*PATH, "--config.data.time=pair"], "2 different times"),
    "a class that comes later": ([*PATH, "--config.data.time=late"], "none of 'top' beside fold 1 of 3"),
    "nothing is penalised": ([*PATH, "--config.penalty_factor=(0.0,0.0,0.0,0.0)"], "expected a penalty_factor > 0"),
    "one against the rest by minibatch": (
        ["--config.model.output=one_vs_rest", "--config.solver.name=minibatch"], "model.output: expected another"
    ),
    "prior of several weights": (
        ["--config.model.output=one_vs_rest", "--config.class_weight=low=2"], "correct_prior: expected False"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_paths(command, arrays, tmp_path, case):
    given, message = case
    code, out, err = command(
        *flags(arrays, "--config.data.test_fraction=0.0", *given, f"--workdir={tmp_path}/run")
    )
    assert code == 2, err
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "run").exists()


def test_the_default_grid_goes_on_until_the_held_out_loss_has_turned(command, tmp_path):
    """Breast cancer: twenty values end where the loss still falls, at a test log loss of 0.134."""
    run = tmp_path / "run"
    given = [
        "--config=breast_cancer", "--config.path.penalty=l2", "--config.cv.folds=3", "--config.path.num=8",
        "--config.path.ratio=1e-3", f"--workdir={run}",
    ]  # fmt: skip
    code, _, err = command(*given)
    assert code == 0, err
    result = json.loads((run / "result.json").read_text())
    found = result["path"]
    values, scores = np.array(found["values"]), np.mean(found["scores"], axis=1)
    assert 8 < len(values) <= 24
    np.testing.assert_allclose(values[1:] / values[:-1], 1e-3 ** (1 / 7))
    assert found["choice"] == scores.argmin() < len(values) - 1
    assert (np.diff(scores[: -strengths._FURTHER]) < 0).all()
    assert {status for row in found["status"] for status in row} == {"optimal"}
    assert found["note"] == ""
    assert result["metrics"]["test"]["log_loss"] < 0.12
    with np.load(run / "path.npz") as saved:
        assert len(saved["kernel"]) == len(saved["status"]) == len(values)
        # Each value is the optimum of its own problem, whichever stretch of the grid it lies in.
        assert (saved["certified_gap"] < 1e-6).all()


ENDS = {
    "weakest": ("(10.0,1.0)", "l2=1 is the weakest that was tried; the best may lie beyond: give weaker path.values."),
    "strongest": ("(1e-3,1e-6)", "l2=0.001 is the strongest that was tried; the best may lie beyond: give stronger"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
def test_a_choice_at_an_end_is_said(command, tmp_path, case):
    values, message = case
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = (x[:, 0] + 0.3 * rng.logistic(size=120) > 0).astype(int)
    y = y if "weakest" in message else rng.integers(0, 2, 120)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    code, out, err = command(
        *flags(tmp_path / "a.npz", *PATH, f"--config.path.values={values}", f"--workdir={tmp_path}/run")
    )
    assert code == 0, err
    assert message[0].upper() + message[1:] in out
    assert message in json.loads((tmp_path / "run" / "result.json").read_text())["path"]["note"]


def test_the_first_command_of_somebody_who_tunes(command, arrays, tmp_path, caplog):
    """The shipped l2 is not the user's, and folds choose where nothing else can."""
    caplog.set_level("INFO", "tf_logreg")
    first = ["--config=numpy_arrays", f"--config.data.args.path={arrays}", "--config.path.penalty=l2",
             "--config.path.num=4", f"--workdir={tmp_path}/run"]  # fmt: skip
    code, out, err = command(*first)
    assert code == 0, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert np.shape(result["path"]["scores"])[1] == 5
    assert set(result["metrics"]) == {"train", "test"}
    assert "l2=0.0001 of the config file is not looked at" in caplog.text
    assert "cv.folds=5" in caplog.text
    assert command(*first)[1] == out  # the same run
    # What the user says is never passed over.
    code, _, err = command(*first, "--config.l2=1e-4")
    assert code == 2
    assert "l2: expected 0.0 with path.penalty='l2'" in err
    # A config of one's own in Python says what contradicts.
    config = configs.load("numpy_arrays")
    config.data.args.path, config.path.penalty = str(arrays), "l2"
    with pytest.raises(
        InputError, match=r"l2: expected 0\.0 with path\.penalty(.|\n)*path\.penalty: expected cv\.folds"
    ):
        configs.validate(config)


@pytest.mark.parametrize("choice", [0, 5, 11])
def test_the_label_of_the_picture_stays_inside(choice):
    values = np.geomspace(385.0, 1e-3, 12)
    scores = 0.1 + 0.01 * np.abs(np.arange(12) - choice)[:, None] * np.ones((12, 3))
    figure = figures.path("l2", values, scores, np.full((12, 3), 30), choice)
    figure.draw_without_rendering()
    (label,) = [text for text in figure.axes[0].texts if text.get_text().startswith("chosen")]
    box, axis = label.get_window_extent(), figure.axes[0].get_window_extent()
    assert axis.x0 <= box.x0 <= box.x1 <= axis.x1
    assert axis.y1 <= box.y0 <= box.y1 <= figure.bbox.y1  # above the lines


def test_a_problem_that_fits_nowhere(command, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(placement, "device_memory", lambda _: 3 * memory.bytes_of_problem(4, 3, True, 150))
    code, out, err = command(
        *flags(arrays, *PATH, "--device_memory_fraction=0.0", f"--workdir={tmp_path}/run")
    )
    assert code == 2
    assert "path: one problem of 4 features and 3 outputs takes about" in err
    assert out == ""
    assert not (tmp_path / "run").exists()


def test_a_fit_that_fits_nowhere_is_refused_before_it_is_tried(command, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(placement, "host_memory", lambda: 2.0**10)
    monkeypatch.setattr(memory, "_EVERYWHERE", 0)
    code, out, err = command(*flags(arrays, "--config.l2=0.1", f"--workdir={tmp_path}/run"))
    assert code == 2
    assert "x: a full-batch fit of 4 features and 3 outputs takes about" in err
    assert "GiB of memory beside the rows. Received: 0.0 GiB free" in err
    assert out == ""
    assert not (tmp_path / "run").exists()


def test_how_many_problems_a_config_means():
    config = configs.get_config()
    assert configs.num_problems(config, 3) == 1
    config.model.output = "one_vs_rest"
    assert configs.num_problems(config, 3) == 3
    config.path.penalty, config.path["values"], config.cv.folds = "l2", (1.0, 0.5), 5
    assert configs.num_problems(config, 3) == 30
    assert configs.num_problems(configs.load("linear_probe"), 1000) == 45
