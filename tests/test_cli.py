"""The command line: its modes, what they print and leave, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from problems import random_problem

SMALL = ["--config=synthetic", "--config.data.args.num_rows=300", "--config.minibatch.epochs=1"]


def test_train_repeat_overwrite(command, tmp_path):
    run = f"--workdir={tmp_path}/run"
    code, out, err = command(*SMALL, run, "--distribution_strategy=MIRRORED", "--num_virtual_cpus=2")
    assert code == 0, err
    assert "log loss" in out
    # A fit that takes more than a second leaves a checkpoint of its end, too.
    files = {path.name for path in (tmp_path / "run").iterdir()} - {"checkpoints"}
    assert files == {
        "config.json", "result.json", "coefficients.npz", "coefficients.csv", "metrics.npz", "model.keras",
        "export", "events",
    }  # fmt: skip
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["num_replicas"] == 2
    assert result["certified_gap"] is None
    assert result["objective"] == pytest.approx(result["metrics"]["train"]["log_loss"])
    assert set(result["seconds"]) == {"setup", "data", "fit", "evaluate", "export"}
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["flags"]["num_virtual_cpus"] == 2
    assert record["config"]["data"]["args"]["num_rows"] == 300

    # The same command again prints the result and fits nothing, on any devices.
    stamp = (tmp_path / "run" / "result.json").stat().st_mtime_ns
    code, again, _ = command(*SMALL, run)
    assert (code, again) == (0, out)
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == stamp

    code, _, err = command(*SMALL, "--config.l2=0.5", run)
    assert code == 2
    assert "--overwrite" in err
    code, out, _ = command(*SMALL, "--config.l2=0.5", run, "--overwrite")
    assert code == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["l2"] == 0.5


def test_evaluate_and_export(command, tmp_path):
    run = f"--workdir={tmp_path}/run"
    assert command(*SMALL, run)[0] == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    code, out, err = command("--mode=evaluate", run)
    assert code == 0, err
    assert out.count("   log loss") == 2
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["metrics"] == result["metrics"]

    # Other rows of the same kind, through a config of their own.
    code, out, err = command("--mode=evaluate", run, *SMALL, "--config.data.args.num_rows=4000")
    assert code == 0, err
    assert "3,200 rows" in out

    for other, message in (
        ([*SMALL, "--config.data.args.num_features=7"], "expected the run's 20 features"),
        (["--config=iris"], "expected the classes '0', '1'. Received: 'setosa'"),
    ):
        code, _, err = command("--mode=evaluate", run, *other)
        assert code == 2
        assert message in err

    before = sorted(path.name for path in (tmp_path / "run" / "export").iterdir())
    (tmp_path / "run" / "export" / "saved_model.pb").unlink()
    assert command("--mode=export", run)[0] == 0
    assert sorted(path.name for path in (tmp_path / "run" / "export").iterdir()) == before


def test_versions_for_tensorflow_serving(command, tmp_path):
    """A folder of numbers and the plain SavedModel in one place; neither is touched by writing the other."""
    run, export = f"--workdir={tmp_path}/run", tmp_path / "run" / "export"
    assert command(*SMALL, run)[0] == 0
    plain = sorted(path.name for path in export.iterdir())
    for version in ("1", "20261126"):
        code, out, err = command("--mode=export", f"--version={version}", run)
        assert code == 0, err
        assert out == f"{export}/{version}\n"
    marker = export / "1" / "assets" / "mine.txt"
    marker.write_text("served")
    assert command("--mode=export", run)[0] == 0
    assert sorted(path.name for path in export.iterdir()) == sorted([*plain, "1", "20261126"])
    assert marker.exists()
    x = tf.zeros([2, 20])
    first, second = (
        tf.saved_model.load(str(folder)).signatures["serving_default"](features=x)["probabilities"]
        for folder in (export, export / "1")
    )
    np.testing.assert_array_equal(first, second)

    code, _, err = command("--mode=export", "--version=1", run)
    assert code == 2
    assert "--version: expected a number that is not there. Received: 1" in err
    assert marker.exists()
    assert command("--mode=export", "--version=1", run, "--overwrite")[0] == 0
    assert not marker.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--mode=export", "--version=-1"], "flags: flag --version=-1"),
        (["--mode=export", "--version=1.5"], "flags: flag --version=1.5"),
        (["--mode=export", f"--version={2**63}"], "flags: flag --version=9223372036854775808"),
        (["--config=iris", "--version=1"], "--version: expected --mode=export beside it"),
        (["--mode=evaluate", "--version=1"], "--version: expected --mode=export beside it"),
        (["--config=iris", "--baseline=runs/a"], "--baseline: expected --mode=compare beside it"),
        (["--config=iris", "--keep=id"], "--keep: expected --mode=predict beside it"),
        (["--config=iris", "--topology=v5e:1x1"], "--topology: expected --mode=plan beside it"),
    ],
)
def test_bad_versions(command, tmp_path, given, message):
    code, out, err = command(*given, f"--workdir={tmp_path}/run")
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "run").exists()


def test_the_program_itself(tmp_path):
    """run.py as a user calls it: exit code, no traceback, quiet errors."""
    bad = subprocess.run(
        [sys.executable, "run.py", "--config=configs/digits.py", "--config.l2=-1", f"--workdir={tmp_path}/run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert bad.returncode == 2
    assert bad.stdout == ""
    devices, fault = bad.stderr.splitlines()
    assert devices.endswith("Devices: 'auto' takes the CPU (no GPU and no TPU is here).")
    assert fault == "l2: expected a finite number >= 0. Received: -1.0."
    shown = subprocess.run([sys.executable, "run.py", "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    for flag in ("--config", "--workdir", "--distribution_strategy", "--num_virtual_cpus", "--dtype"):
        assert flag in shown.stdout


def test_evaluate_on_another_file(command, tmp_path):
    x, y, _ = random_problem(300, 3, 3)
    names = np.array(["low", "mid", "top"])
    np.savez(tmp_path / "train.npz", x=x, y=names[y])
    run, config = f"--workdir={tmp_path}/run", "--config=numpy_arrays"
    assert command(config, f"--config.data.args.path={tmp_path}/train.npz", run)[0] == 0
    # A file without the class 'mid', all of whose rows are measured.
    some = y != 1
    np.savez(tmp_path / "new.npz", x=x[some], y=names[y[some]])
    whole = ["--config.data.validation_fraction=0.0", "--config.data.test_fraction=0.0"]
    code, out, err = command(
        "--mode=evaluate", config, f"--config.data.args.path={tmp_path}/new.npz", *whole, run
    )
    assert code == 0, err
    assert f"{some.sum()} rows" in out
    metrics = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]["all"]
    assert metrics["roc_auc"] is None
    assert metrics["areas_missing"] == "1 of 3 classes have no rows here"
    with np.load(tmp_path / "run" / "coefficients.npz") as arrays:
        predicted = (x[some] @ arrays["kernel"] + arrays["bias"]).argmax(axis=1)
    assert metrics["accuracy"] == pytest.approx((predicted == y[some]).mean())
    np.savez(tmp_path / "bad.npz", x=x, y=np.where(some, names[y], "new"))
    code, _, err = command("--mode=evaluate", config, f"--config.data.args.path={tmp_path}/bad.npz", run)
    assert code == 2
    assert "expected the classes 'low', 'mid', 'top'. Received: 'new'" in err


def test_selftest(command, tmp_path, monkeypatch):
    """Of sizes that take seconds; the documents' commands take the true ones."""
    from tf_logreg.modes import selftest

    small = {"rows": 4096, "features": 64, "classes": 10, "batch": 256}
    monkeypatch.setattr(selftest, "_SIZES", small)
    code, out, err = command(
        "--mode=selftest",
        "--distribution_strategy=mirrored",
        "--num_virtual_cpus=2",
        f"--workdir={tmp_path}/out",
    )
    assert code == 0, err
    assert out.count(": ok") == 2
    assert "device:CPU:0, device:CPU:1" in out
    text = (tmp_path / "out" / "selftest.txt").read_text()
    assert text in out
    found = json.loads((tmp_path / "out" / "selftest.json").read_text())
    assert found["engine"] == "devices"
    assert found["faults"] == {}
    assert all(one["compiled"] and one["first"] > one["seconds"] > 0 for one in found["programs"])
    assert found["limits"]["bandwidth"] > 1e8
    # The documents show a block of the same lines.
    root = Path(__file__).parent.parent
    shown = (root / "docs" / "selftest.md").read_text().rpartition("    tf_logreg ")[2]
    assert [line[4:16] for line in shown.splitlines()[1:]] == [line[:12] for line in text.splitlines()[1:]]


@pytest.mark.long
def test_selftest_says_when_a_device_is_wrong(command, monkeypatch):
    from tf_logreg.fit.minibatch import loop

    right = loop.loss_and_gradient
    monkeypatch.setattr(
        loop, "loss_and_gradient", lambda *a: (*right(*a)[:2], 1.1 * right(*a)[2], right(*a)[3])
    )
    code, out, err = command("--mode=selftest")
    assert code == 1
    assert err.count("WRONG") == 2
    assert out == ""


def test_tpu_without_a_tpu(command, tmp_path):
    code, _, err = command(*SMALL, f"--workdir={tmp_path}/run", "--distribution_strategy=tpu")
    assert code == 2
    assert "found no TPU" in err
    assert "tpu='local'" in err
    assert "ls /dev/accel*" in err
    assert not (tmp_path / "run").exists()


def test_a_diverged_fit_is_exit_code_1_without_a_result(command, tmp_path):
    code, out, err = command(
        *SMALL, "--config.minibatch.optimizer=SGD", "--config.minibatch.learning_rate=1e38", "--config.l2=1.0",
        "--config.minibatch.epochs=3",
        f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 1
    assert "diverged" in err
    assert "learning_rate" in err
    assert out == ""
    assert not (tmp_path / "run" / "result.json").exists()
    assert not (tmp_path / "run" / "model.keras").exists()


def test_numbers_that_are_none_are_shown_as_a_dash(command, tmp_path):
    """JSON holds no infinity: a loss that was none is null in `result.json`."""
    flags = ["--config=breast_cancer", f"--workdir={tmp_path}/run"]
    code, _, err = command(*flags)
    assert code == 0, err
    path = tmp_path / "run" / "result.json"
    result = json.loads(path.read_text())
    result["objective"] = result["metrics"]["test"]["log_loss"] = result["metrics"]["test"]["accuracy"] = None
    path.write_text(json.dumps(result))
    code, out, err = command(*flags)
    assert code == 0, err
    assert "Objective - nats." in out
    assert "log loss -   accuracy -   ROC AUC 0.9" in out
