"""One clear message with exit code 2 for every bad flag, config, array and directory, and nothing written."""

import json
import sys

import numpy as np
import pytest
from problems import random_problem

SMALL = ["--config=synthetic", "--config.data.args.num_rows=300", "--config.minibatch.epochs=1"]

PATH = ["--config.l2=0.0", "--config.path.penalty=l2"]

BAD_FLAGS = {
    "device memory": (["--config=digits", "--device_memory_fraction=1.5"], "a share in [0, 1]"),
    "class weight of no class": (["--config=digits", "--config.class_weight=ten=2"], "names of '0', '1'"),
    "schedule name": (
        ["--config=digits", "--config.minibatch.schedule.name=step"],
        "schedule.name: expected one of",
    ),
    "schedule too long": (
        ["--config=iris", "--config.minibatch.schedule.decay_steps=99999"],
        "the run's 500 steps",
    ),
    "early stopping alone": (
        ["--config=iris", "--config.minibatch.early_stopping.metric=log_loss"],
        "early_stopping.metric: expected '' without",
    ),
    "early stopping of a full-batch fit": (
        ["--config=digits", "--config.minibatch.early_stopping.metric=log_loss"],
        "solver.name='minibatch'",
    ),
    "l1 with a smooth method": (
        ["--config=digits", "--config.solver.name=lbfgs", "--config.l1=0.1"],
        "expected auto, proximal_newton or minibatch",
    ),
    "penalty factor of another length": (
        ["--config=digits", "--config.penalty_factor=(1.0,0.0)"],
        "penalty_factor: expected 64 numbers",
    ),
    "warm start from nowhere": (
        ["--config=digits", "--config.solver.warm_start=none"],
        "solver.warm_start: expected a finished run",
    ),
    "no such offset": (["--config=breast_cancer", "--config.data.offset=o"], "data.offset: expected one of"),
    "no such group": (["--config=digits", "--config.data.group=patient"], "it has none"),
    "group and time": (
        ["--config=digits", "--config.data.group=a", "--config.data.time=b"],
        "expected one of them",
    ),
    "keep no checkpoint": (["--config=digits", "--config.checkpoint.keep=0"], "checkpoint.keep: expected"),
    "unknown flag": (["--colour=red"], "colour"),
    "unknown config": (["--config=digit"], "one of breast_cancer, digits"),
    "no config": ([], "--config"),
    "unknown field": (["--config=digits", "--config.colour=red"], "colour: no such field"),
    "unknown section": (
        ["--config=digits", "--config.modle.bias=false"],
        "no such field: 'modle' Did you mean \"model\"",
    ),
    "below a value": (["--config=digits", "--config.l2.x=1"], "l2"),
    "wrong type": (["--config=digits", "--config.l2=much"], "config.l2"),
    "fraction for an int": (["--config=digits", "--config.seed=1.5"], "seed"),
    "override before config": (["--config.l2=1", "--config=digits"], "config"),
    "stray argument": (["--config=digits", "runs"], "Received: runs"),
    "unknown mode": (["--config=digits", "--mode=fly"], "train|evaluate|export"),
    "unknown strategy": (
        ["--config=digits", "--distribution_strategy=magic"],
        "off|one_device|mirrored|multi_worker_mirrored|tpu",
    ),
    "unknown reduction": (
        ["--config=digits", "--distribution_strategy=mirrored", "--all_reduce_alg=ring"],
        "--all_reduce_alg: expected nccl, hierarchical_copy for mirrored",
    ),
    "workers without their strategy": (
        ["--config=digits", "--worker_hosts=a:1,b:2", "--task_index=0"],
        "expected --distribution_strategy=multi_worker_mirrored",
    ),
    "workers without an index": (
        ["--config=digits", "--distribution_strategy=multi_worker_mirrored", "--worker_hosts=a:1,b:2"],
        "--task_index: expected this worker's place",
    ),
    "unknown dtype": (["--config=digits", "--dtype=int8"], "float32|float64|bfloat16"),
    "too many GPUs": (["--config=digits", "--num_gpus=64"], "--num_gpus: expected -1"),
    "negative CPUs": (["--config=digits", "--num_virtual_cpus=-2"], "--num_virtual_cpus"),
    "too late for more CPUs": (["--config=digits", "--num_virtual_cpus=9"], "has started with 4"),
    "unknown source": (
        ["--config=digits", "--config.data.source=csv"],
        "one of npz, sklearn, synthetic, tfds",
    ),
    "unknown source argument": (["--config=digits", "--config.data.args.path=x"], "no such argument"),
    "unknown data set": (["--config=digits", "--config.data.args.name=adult"], "breast_cancer, digits"),
    "unknown split": (["--config=iris", "--config.data.train_split=all"], "expected one of 'train'"),
    "unknown optimiser": (["--config=digits", "--config.minibatch.optimizer=Newton"], "one of Adadelta"),
    "l1 with the wrong optimiser": (
        ["--config=iris", "--config.minibatch.optimizer=Lion", "--config.l1=0.1"],
        "one of Adagrad, Adam, Ftrl, RMSprop, SGD",
    ),
    "Keras clipping": (
        ["--config=digits", "--config.minibatch.optimizer_args.clipnorm=1.0"],
        "use minibatch.clip_norm",
    ),
    "fraction": (["--config=digits", "--config.data.test_fraction=1.0"], "in [0, 1)"),
    "fractions": (["--config=digits", "--config.data.test_fraction=0.95"], "leave training rows"),
    "negative penalty": (["--config=digits", "--config.l1=-0.1"], "l1: expected"),
    "sigmoid for ten": (["--config=digits", "--config.model.output=sigmoid"], "takes two classes"),
    "fewer rows than replicas": (
        ["--config=iris", "--config.minibatch.batch_size=1", "--distribution_strategy=mirrored"]
        + ["--num_virtual_cpus=2"],
        "minibatch.batch_size: expected at least 2",
    ),
    "no flagfile": (["--flagfile=none.txt"], "flags: ERROR:: Unable to open flagfile"),
    "a flagfile of bytes": ([f"--flagfile={sys.executable}"], "flags: 'utf-8' codec can't decode"),
    "a config of bytes": (
        [f"--config={sys.executable}"],
        "--config: SyntaxError: source code string cannot",
    ),
    "config elsewhere": (["--config=gs://bucket/a.py"], "--config: expected a path on this machine"),
    "data elsewhere": (
        ["--config=numpy_arrays", "--config.data.args.path=gs://bucket/a.npz"],
        "data.args.path: expected a path on this machine",
    ),
    "data of nobody": (
        ["--config=numpy_arrays", "--config.data.args.path=~nobody-here/a.npz"],
        "data.args.path",
    ),
    "warm start elsewhere": (
        ["--config=digits", "--config.solver.warm_start=s3://b"],
        "solver.warm_start: expected",
    ),
    "NaN seconds": (
        ["--config=digits", "--startup_timeout=nan"],
        "--startup_timeout: expected seconds from 0",
    ),
    "endless seconds": (
        ["--config=digits", "--startup_timeout=inf"],
        "--startup_timeout: expected seconds from 0",
    ),
    "NaN device memory": (["--config=digits", "--device_memory_fraction=nan"], "a share in [0, 1]"),
    "a million CPUs": (
        ["--config=digits", "--num_virtual_cpus=1000000"],
        "--num_virtual_cpus: expected 0 to 64",
    ),
    "a quintillion rows": (["--config=synthetic", f"--config.data.args.num_rows={10**18}"], "GiB"),
    "rows beyond 64 bit": (["--config=synthetic", f"--config.data.args.num_rows={10**30}"], "GiB"),
    "a trillion features": (["--config=synthetic", f"--config.data.args.num_features={10**12}"], "GiB"),
    "ten billion classes": (["--config=synthetic", f"--config.data.args.num_classes={10**10}"], "GiB"),
    "negative seed of rows": (
        ["--config=synthetic", "--config.data.args.seed=-1"],
        "data.args.seed: expected",
    ),
    "epochs beyond 64 bit": (
        ["--config=iris", f"--config.minibatch.epochs={10**30}"],
        "a whole number of 64 bit",
    ),
    "steps beyond counting": (
        ["--config=synthetic", f"--config.minibatch.epochs={10**18}"],
        "minibatch.epochs: expected at most",
    ),
    "passes beyond 64 bit": (
        ["--config=digits", f"--config.solver.max_passes={10**400}"],
        "one of 401 digits",
    ),
    "more folds than rows": (
        ["--config=breast_cancer", *PATH, "--config.path.num=3", "--config.cv.folds=1000000000"],
        "cv.folds: expected at most",
    ),
    "a path beyond memory": (
        ["--config=breast_cancer", *PATH, f"--config.path.num={10**12}", "--config.cv.folds=3"],
        "1000000000000 strengths beside 3 folds of 31 coefficients takes about",
    ),
    "NaN for an optimiser": (
        ["--config=synthetic", "--config.minibatch.optimizer_args.epsilon=nan"],
        "minibatch.optimizer_args.epsilon: expected a finite number >= 0. Received: 'nan'",
    ),
    "a share above one": (
        ["--config=synthetic", "--config.minibatch.optimizer_args.beta_1=2.0"],
        "minibatch.optimizer_args.beta_1: expected a number in [0, 1). Received: 2.0",
    ),
    "a word for an optimiser": (
        ["--config=synthetic", "--config.minibatch.optimizer_args.epsilon=hello"],
        "minibatch.optimizer_args.epsilon: expected a finite number >= 0. Received: 'hello'",
    ),
    "missing file": (["--config=numpy_arrays", "--config.data.args.path=none.npz"], "no such file"),
    "unknown TFDS set": (["--config=mnist", "--config.data.args.name=mnst"], "such as"),
}


@pytest.mark.parametrize("arguments", BAD_FLAGS.values(), ids=BAD_FLAGS)
def test_bad_flags_and_configs(command, tmp_path, arguments):
    given, message = arguments
    code, out, err = command(*given, f"--workdir={tmp_path}/run")
    assert code == 2, err
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "run").exists()


def arrays(**changes):
    x, y, weight = random_problem(60, 3, 3)
    return {"x": x, "y": y, "weight": weight, **changes}


def changed(array, index, value):
    array = array.astype(type(value)) if isinstance(value, float) else array.copy()
    array[index] = value
    return array


GOOD = arrays()
BAD_ARRAYS = {
    "one class": ({"y": np.zeros(60, int)}, "at least two classes. Received: only '0'"),
    "NaN in x": ({"x": changed(GOOD["x"], (17, 1), np.nan)}, "nan in row 17 of"),
    "infinity in x": ({"x": changed(GOOD["x"], (17, 1), np.inf)}, "column 'x1'"),
    "NaN in weight": ({"weight": changed(GOOD["weight"], 5, np.nan)}, "nan in row 5 of"),
    "infinity in weight": ({"weight": changed(GOOD["weight"], 5, np.inf)}, "inf in row 5 of"),
    "negative weight": ({"weight": changed(GOOD["weight"], 5, -1.0)}, "-1.0 in row 5 of"),
    "no weight": ({"weight": np.zeros(60)}, "some rows with a weight > 0"),
    "fractional label": ({"y": changed(GOOD["y"], 3, 0.5)}, "0.5 in row 3"),
    "a class without weight": ({"weight": (GOOD["y"] != 2) * 1.0}, "none of '2'"),
    "no rows": ({"x": np.ones((0, 3)), "y": np.ones(0), "weight": np.ones(0)}, "shape (0, 3)"),
    "no columns": ({"x": np.ones((60, 0))}, "shape (60, 0)"),
    "pickles": ({"y": np.array([None] * 60)}, "pickled objects"),
    "1e100 in x": ({"x": changed(GOOD["x"], (17, 1), 1e100)}, "1e+100 in row 17 of"),
    "too few labels": ({"y": np.array([0, 1])}, "y: expected 60 values"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays(command, tmp_path, case):
    changes, message = case
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays(**changes))
    code, out, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={path}", f"--workdir={tmp_path}/run"
    )
    assert code == 2, err
    assert message in err
    assert (
        str(path) in err
        or message in ("at least two classes. Received: only '0'",)
        or "y:" in err
        or "weight:" in err
    )
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_offset_with_gaps(command, tmp_path, value):
    offset = np.zeros(60)
    offset[7] = value
    np.savez(tmp_path / "bad.npz", **arrays(y=GOOD["y"] % 2, exposure=offset))
    code, out, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/bad.npz", "--config.data.offset=exposure",
        f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 2
    assert f"{value} in row 7 of" in err
    assert "data.offset" in err
    assert out == ""
    assert not (tmp_path / "run").exists()


def test_the_column_that_runs_off_is_named(command, tmp_path):
    """As NV in the endometrial cancer data of Heinze and Schemper (Statistics in Medicine 21, 2002)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(79, 2))
    y = (x[:, 0] + rng.logistic(size=79) > 0).astype(int)
    nv = (y == 1) & (rng.random(79) < 0.4)
    np.savez(tmp_path / "endometrial.npz", x=np.column_stack([nv, x]), y=y, feature_names=["NV", "PI", "EH"])
    code, out, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/endometrial.npz", "--config.l2=0.0",
        "--config.data.test_fraction=0.0", f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 0, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "separated"
    assert result["certified_gap"] is None
    assert "'NV'" in out + err
    assert "'PI'" not in out + err


def test_bad_workdirs(command, tmp_path):
    (tmp_path / "photo.jpg").write_text("x")
    for workdir, message in (
        (tmp_path, "other files"),
        (tmp_path / "photo.jpg", "a file"),
        ("", "--workdir"),
    ):
        code, _, err = command(*SMALL, f"--workdir={workdir}")
        assert code == 2
        assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    for mode in ("evaluate", "export"):
        code, _, err = command(f"--mode={mode}", f"--workdir={tmp_path}/none")
        assert code == 2
        assert "expected a finished run" in err


def test_paths_begin_at_home(command, tmp_path, monkeypatch):
    """As a shell writes them: it leaves a ~ behind '=' alone."""
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", **arrays())
    (tmp_path / "mine.py").write_text(
        "from tf_logreg.config import load\nget_config = lambda: load('numpy_arrays')\n"
    )
    flags = ["--config=~/mine.py", "--config.data.args.path=~/a.npz"]
    code, _, err = command(*flags, "--workdir=~/run")
    assert code == 0, err
    assert (tmp_path / "run" / "result.json").exists()
    code, _, err = command(*flags, "--config.solver.warm_start=~/run", "--workdir=~/again")
    assert code == 0, err
    assert command("--mode=evaluate", "--workdir=~/run")[0] == 0
    assert not any(path.name == "~" for path in tmp_path.rglob("*"))


def test_what_no_memory_holds_is_one_line(command, tmp_path, monkeypatch):
    """Where nobody could know before: the system refuses in the middle."""
    from tf_logreg.data import split

    def full(*_, **__):
        raise MemoryError("Unable to allocate 9 TiB for an array with shape (9,)")

    monkeypatch.setattr(split, "split_rows", full)
    code, _, err = command(*SMALL, f"--workdir={tmp_path}/run")
    assert code == 2
    assert err.splitlines()[-1].startswith("memory: expected a job that fits. Unable to allocate 9 TiB")
    assert not (tmp_path / "run").exists()


def test_a_rate_that_runs_away_with_finite_numbers_has_diverged(command, tmp_path):
    code, out, err = command(*SMALL, "--config.minibatch.learning_rate=1e10", f"--workdir={tmp_path}/run")
    assert code == 1
    assert "The fit diverged: after" in err
    assert "lower minibatch.learning_rate" in err
    assert out == ""
    assert not (tmp_path / "run" / "result.json").exists()


def test_labels_without_any_signal_have_not_diverged(command, tmp_path):
    """A large rate on pure noise ends far above the loss of no features, and is a result."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "noise.npz", x=rng.normal(size=(100, 30)), y=rng.integers(0, 2, 100))
    code, _, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/noise.npz", "--config.solver.name=minibatch",
        "--config.minibatch.learning_rate=1.0", "--config.minibatch.batch_size=10", f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 0, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metrics"]["train"]["log_loss"] > 0.5
