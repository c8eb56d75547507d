"""One clear message with exit code 2 for every bad flag, config and directory, and nothing written."""

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
    "unknown mode": (["--config=digits", "--mode=fly"], "train|evaluate|compare|predict|describe|report"),
    "unknown strategy": (
        ["--config=digits", "--distribution_strategy=magic"],
        "auto|off|one_device|mirrored|multi_worker_mirrored|tpu",
    ),
    "unknown reduction": (
        ["--config=digits", "--distribution_strategy=mirrored", "--all_reduce_alg=ring"],
        "--all_reduce_alg: expected nccl, hierarchical_copy for mirrored",
    ),
    "workers without their strategy": (
        ["--config=digits", "--worker_hosts=a:1,b:2", "--task_index=0", "--distribution_strategy=mirrored"],
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
        ["--config=digits", "--config.data.source=excel"],
        "one of csv, frame, libsvm, npy, npz, parquet, sklearn, synthetic, table, tf_dataset, tfds",
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
        ["--config=numpy_arrays", "--config.data.args.path=s3://bucket/a.npz"],
        "data.args.path: expected a path, or an address of ",
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
        "1000000000000 penalties beside 3 folds of 31 coefficients takes about",
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
    np.savez(tmp_path / "a.npz", **dict(zip(("x", "y", "weight"), random_problem(60, 3, 3), strict=True)))
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
