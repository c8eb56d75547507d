"""kill -9 at any moment, SIGTERM, damaged files: the same command ends with the same bits."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import prepared
import pytest

MINIBATCH = [
    "--config=synthetic", "--config.data.args.num_rows=2000", "--config.minibatch.batch_size=20",
    "--config.minibatch.epochs=100", "--config.minibatch.steps_per_loop=50", "--config.checkpoint.every_steps=100",
    "--config.minibatch.schedule.name=cosine", "--config.minibatch.optimizer_args.amsgrad=true",
]  # fmt: skip
# Streamed, so that it takes seconds: by conjugate gradients, strength by strength, then the refit.
PATH = [
    "--config=synthetic", "--config.data.args.num_rows=30000", "--config.data.args.num_features=64",
    "--config.data.args.num_classes=20", "--config.data.validation_fraction=0.2", "--config.solver.name=auto",
    "--config.path.penalty=l2", "--config.path.num=24", "--device_memory_fraction=0",
]  # fmt: skip

# Dies by SIGKILL in the third save, where argv[1] says.
AT_STAGE = """
import os, signal, sys
import tf_logreg.fit.checkpoint as checkpoint
from tf_logreg import cli, storage
from tf_logreg.storage import disk
stage, saves = sys.argv.pop(1), 0
save = checkpoint.Checkpoints.save

def die_before(name, owner, function):
    real = getattr(owner, function)
    def call(*args, **kwargs):
        if stage == name and saves == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(owner, function, call)

die_before("write", storage, "save_arrays")
die_before("sync", os, "fsync")
die_before("rename", os, "replace")
die_before("folder", disk, "sync_folder")

def counted(self, *args):
    global saves
    saves += 1
    save(self, *args)
    if stage == "after" and saves == 3:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.Checkpoints.save = counted
cli.main()
"""


# Dies by SIGKILL before the fit to all rows, or in its second save, as argv[1] says.
AT_REFIT = """
import os, signal, sys
from tf_logreg import cli
from tf_logreg.fit import checkpoint, refit
stage, within, save, again = sys.argv.pop(1), 0, checkpoint.Checkpoints.save, refit.refit

def fit(*args):
    if stage == "between":
        os.kill(os.getpid(), signal.SIGKILL)
    global within
    within = 1
    return again(*args)

def counted(self, *args):
    global within
    save(self, *args)
    if within:
        within += 1
    if within == 3:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.Checkpoints.save, refit.refit = counted, fit
cli.main()
"""


def start(workdir, *before, job=MINIBATCH):
    command = [*(before or ["-m", "tf_logreg"]), *job, f"--workdir={workdir}", "--noreport"]
    return prepared.Process(command)


def finish(workdir, job=MINIBATCH):
    """Runs to the end: the saved arrays and standard error."""
    process = start(workdir, job=job)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    with np.load(f"{workdir}/coefficients.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}, err


def assert_same(one, other):
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def saved(workdir):
    return sorted(Path(workdir, "checkpoints").glob("step-*"))


def written_at(path):
    """When `path` was written, in ns; 0 where it was renamed or removed since it was listed."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def kill_at_random(workdir, job, rng):
    """Starts `job` and kills it soon after its first new checkpoint, not while it imports."""

    def newest():
        return max(map(written_at, Path(workdir, "checkpoints").rglob("step-*")), default=0)

    before, process, started = newest(), start(workdir, job=job), time.monotonic()
    while process.poll() is None and newest() == before and time.monotonic() - started < 60:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return finish(str(tmp_path_factory.mktemp("unbroken") / "run"))[0]


@pytest.mark.long
@pytest.mark.parametrize("chain", range(4))
def test_twenty_kills_at_random_moments(tmp_path, unbroken, chain):
    rng, workdir = np.random.default_rng(chain), str(tmp_path / "run")
    for _ in range(5):
        kill_at_random(workdir, MINIBATCH, rng)
    assert_same(finish(workdir)[0], unbroken)


@pytest.mark.long
def test_a_path_killed_at_random_moments(tmp_path):
    unbroken = finish(str(tmp_path / "unbroken"), PATH)[0]
    rng, workdir = np.random.default_rng(0), tmp_path / "run"
    for _ in range(5):
        kill_at_random(str(workdir), PATH, rng)
    assert any((workdir / "checkpoints").rglob("step-*"))
    assert_same(finish(str(workdir), PATH)[0], unbroken)
    path = [np.load(f"{folder}/path.npz") for folder in (workdir, tmp_path / "unbroken")]
    for name in ("kernel", "bias", "scores", "certified_gap"):
        np.testing.assert_array_equal(path[0][name], path[1][name])


@pytest.mark.long
@pytest.mark.parametrize("stage", ["write", "sync", "rename", "folder", "after"])
def test_kill_at_each_stage_of_a_checkpoint(tmp_path, unbroken, stage):
    workdir = str(tmp_path / "run")
    process = start(workdir, "-c", AT_STAGE, stage)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    expected = {"folder": 300, "after": 300}.get(stage, 200)
    assert saved(workdir)[-1].name == f"step-{expected:012d}"
    assert_same(finish(workdir)[0], unbroken)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_bytes_flipped_in_the_newest_file(tmp_path, unbroken, seed):
    workdir = str(tmp_path / "run")
    start(workdir, "-c", AT_STAGE, "after").communicate(timeout=300)
    newest = saved(workdir)[-1]
    content = bytearray(newest.read_bytes())
    for place in np.random.default_rng(seed).integers(0, len(content), 3):
        content[place] ^= 0xFF
    newest.write_bytes(content)
    arrays, err = finish(workdir)
    assert "damaged checkpoint" in err
    assert_same(arrays, unbroken)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits_3(tmp_path, unbroken, number):
    workdir = str(tmp_path / "run")
    process = start(workdir)
    while not saved(workdir):
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "the same command resumes" in err
    assert "Traceback" not in err
    assert_same(finish(workdir)[0], unbroken)


@pytest.mark.long
@pytest.mark.parametrize("stage", ["between", "within"])
def test_a_kill_around_the_fit_to_all_rows(tmp_path, stage):
    job = [*MINIBATCH, "--config.data.test_fraction=0.2", "--config.data.refit=all"]
    workdir = tmp_path / "run"
    process = start(str(workdir), "-c", AT_REFIT, stage, job=job)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert bool(list((workdir / "checkpoints" / "refit").glob("step-*"))) == (stage == "within")
    assert_same(finish(str(workdir), job)[0], finish(str(tmp_path / "unbroken"), job)[0])
