"""Several worker processes on loopback: the same answers as one, and nobody left waiting."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from problems import random_problem
from worker_process import CASES

from tf_logreg.devices import cluster, meeting, workers
from tf_logreg.errors import InputError, RunError

ROOT = Path(__file__).parents[1]
FULL_BATCH = (
    "newton",
    "newton_streamed",
    "lbfgs",
    "gradient_descent",
    "proximal_newton",
    "unpenalised",
    "two_rows",
)
MINIBATCH = ("sgd", "adam", "adam_again", "adam_streamed")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(*command, cwd=ROOT, **environ):
    return subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TF_CPP_MIN_LOG_LEVEL": "2", **environ},
    )  # fmt: skip


def ended(processes, timeout=300):
    """Exit codes, and what they said; none is left behind."""
    try:
        said = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], [out for out, _ in said], [err for _, err in said]


def run_workers(count, *flags, workdir, each=lambda k: (), program=(ROOT / "run.py",), cwd=lambda k: ROOT):
    """The command line on `count` workers, each in a directory of its own if `cwd` says so."""
    hosts = ",".join(f"localhost:{port}" for port in free_ports(count))
    return [
        start(
            *program, f"--workdir={workdir}", "--distribution_strategy=multi_worker_mirrored",
            f"--worker_hosts={hosts}", f"--task_index={k}", "--startup_timeout=120", *flags, *each(k),
            cwd=cwd(k),
        )
        for k in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def answers(tmp_path_factory):
    """{workers: [{case: arrays} of each worker]}; 1 is this process's kind of run, in one process."""
    found = {}
    for count, cases in ((1, CASES), (2, CASES), (3, ("newton", "two_rows", "sgd"))):
        folder = tmp_path_factory.mktemp(f"workers{count}")
        hosts = ",".join(f"localhost:{port}" for port in free_ports(count)) if count > 1 else "1"
        processes = [start("tests/worker_process.py", hosts, k, folder, *cases) for k in range(count)]
        codes, _, errors = ended(processes)
        assert codes == [0] * count, errors
        found[count] = [
            {name: dict(np.load(folder / f"{name}.{k}.npz")) for name in cases} for k in range(count)
        ]
    return found


@pytest.mark.parametrize("case", FULL_BATCH)
def test_full_batch_fits_agree(answers, case):
    (alone,) = answers[1]
    for team in (answers[2], answers[3]):
        for worker in team:
            if case in worker:
                assert worker[case]["status"] == alone[case]["status"] == "optimal"
                for name in ("kernel", "bias"):
                    np.testing.assert_allclose(worker[case][name], alone[case][name], rtol=1e-7, atol=1e-8)
                    np.testing.assert_array_equal(worker[case][name], team[0][case][name])


@pytest.mark.parametrize("case", MINIBATCH)
def test_minibatch_fits_agree(answers, case):
    (alone,) = answers[1]
    for team in (answers[2], answers[3]):
        for worker in team:
            if case in worker:
                scale = np.abs(alone[case]["kernel"]).max()
                tolerance = scale * (1e-5 if case == "sgd" else 1e-4)
                np.testing.assert_allclose(worker[case]["kernel"], alone[case]["kernel"], atol=tolerance)
                np.testing.assert_array_equal(worker[case]["kernel"], team[0][case]["kernel"])


def test_repeats_on_the_same_workers_are_bit_equal(answers):
    for worker in answers[2]:
        np.testing.assert_array_equal(worker["adam"]["kernel"], worker["adam_again"]["kernel"])


# The command line.

SMALL = (
    "--config=synthetic",
    "--config.data.args.num_rows=2000",
    "--config.minibatch.epochs=2",
    "--deterministic",
)


def kernel_of(workdir):
    with np.load(workdir / "coefficients.npz") as arrays:
        return arrays["kernel"]


def test_two_workers_from_the_command_line(tmp_path):
    codes, out, err = ended(run_workers(2, *SMALL, workdir=tmp_path / "two"))
    assert codes == [0, 0], err
    assert "2 workers; communication took about" in out[0]
    assert out[1] == ""  # only the chief speaks
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert (result["num_workers"], result["num_replicas"]) == (2, 2)
    assert 0 < result["communication"] <= 1
    codes, _, err = ended([start("run.py", f"--workdir={tmp_path / 'one'}", *SMALL)])
    assert codes == [0], err
    np.testing.assert_allclose(kernel_of(tmp_path / "two"), kernel_of(tmp_path / "one"), atol=1e-4)
    alone = json.loads((tmp_path / "one" / "result.json").read_text())
    assert set(result["metrics"]) == set(alone["metrics"])
    for role in alone["metrics"]:
        for name in ("log_loss", "accuracy", "roc_auc", "num_rows"):
            assert result["metrics"][role][name] == pytest.approx(alone["metrics"][role][name], rel=1e-4)


def test_a_path_with_folds_on_two_workers(tmp_path, command):
    x, y, weight = random_problem(200, 4, 3)
    np.savez(tmp_path / "a.npz", x=x, y=y, weight=weight)
    flags = (
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/a.npz", "--config.data.validation_fraction=0.0",
        "--config.l2=0.0", "--config.path.penalty=l2", "--config.path.num=4", "--config.cv.folds=3", "--dtype=float64",
        "--config.solver.tol=1e-10", "--config.class_weight=balanced",
    )  # fmt: skip
    codes, _, err = ended(run_workers(2, *flags, workdir=tmp_path / "two"))
    assert codes == [0, 0], err
    code, _, err = command(*flags, f"--workdir={tmp_path / 'one'}")
    assert code == 0, err
    two, one = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("two", "one"))
    for name in ("values", "scores", "objective"):
        np.testing.assert_allclose(two["path"][name], one["path"][name], rtol=1e-7)
    assert two["path"]["choice"] == one["path"]["choice"]
    assert {status for row in two["path"]["status"] for status in row} == {"optimal"}
    np.testing.assert_allclose(kernel_of(tmp_path / "two"), kernel_of(tmp_path / "one"), rtol=1e-4, atol=1e-6)


def test_workers_with_different_configs_are_named(tmp_path):
    processes = run_workers(2, *SMALL, workdir=tmp_path / "run", each=lambda k: (f"--config.l2={k}.0",))
    codes, _, err = ended(processes)
    assert codes == [2, 2]
    for said in err:
        assert re.search(
            r"--config.l2: expected the same on every worker. Received: \d.0 here, another on worker \d", said
        )
    assert not (tmp_path / "run").exists()


def test_bad_rows_on_one_worker_end_both(tmp_path):
    x, y, _ = random_problem(200, 3, 2)
    x[131, 1] = np.nan  # of shard 131 % 64 = 3: worker 1's
    np.savez(tmp_path / "bad.npz", x=x, y=y)
    processes = run_workers(
        2, "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/bad.npz", workdir=tmp_path / "run"
    )  # fmt: skip
    codes, _, err = ended(processes)
    assert codes == [2, 2], err
    assert all("nan in row 131" in said for said in err)
    assert "(on worker" in err[0] + err[1]
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A work directory, the file that it was trained on, a file with a gap, and one that is not there."""
    folder = tmp_path_factory.mktemp("finished")
    x, y, _ = random_problem(200, 3, 2)
    np.savez(folder / "good.npz", x=x, y=y)
    x[131, 1] = np.nan
    np.savez(folder / "bad.npz", x=x, y=y)
    codes, _, err = ended(
        [
            start(
                "run.py",
                "--config=numpy_arrays",
                f"--config.data.args.path={folder}/good.npz",
                f"--workdir={folder}/run",
            )
        ]
    )
    assert codes == [0], err
    return folder


@pytest.mark.parametrize(
    ("file", "said"), [("bad", "nan in row 131 of"), ("none", "no such file"), ("good", None)]
)
def test_an_evaluation_with_a_bad_file_on_one_worker_ends_both(finished_run, tmp_path, file, said):
    """One command, and under its path each worker has a file of its own."""
    places = [tmp_path / "chief", tmp_path / "other"]
    for place, name in zip(places, ("good", file), strict=True):
        place.mkdir()
        if name != "none":
            shutil.copy(finished_run / f"{name}.npz", place / "rows.npz")
    evaluate = ("--mode=evaluate", "--config=numpy_arrays", "--config.data.args.path=rows.npz")
    processes = run_workers(2, *evaluate, workdir=finished_run / "run", cwd=places.__getitem__)
    codes, out, err = ended(processes, timeout=120)
    if said is None:
        assert codes == [0, 0], err
        assert "log loss" in out[0]
        assert out[1] == ""
        return
    assert codes == [2, 2], err
    for lines in err:
        assert said in lines
        assert "rows.npz" in lines
        assert "(on worker 1, localhost:" in lines
        assert "Traceback" not in lines


@pytest.mark.long
def test_an_export_that_the_chief_refuses_ends_both(finished_run):
    for name, code in (("run", 0), ("none", 2)):
        codes, out, err = ended(run_workers(2, "--mode=export", workdir=finished_run / name))
        assert codes == [code, code], err
        assert out == ([f"{finished_run}/run/export\n", ""] if code == 0 else ["", ""])
        assert all("no directory" in said for said in err) == (code == 2)


def together_on_two(monkeypatch, *functions):
    """What `together` gives or raises on each of two workers, here threads."""
    barrier, said, found = threading.Barrier(2), [None, None], [None, None]

    def every(team, value):
        said[team.index] = value
        barrier.wait(10)
        return list(said)

    def run(index):
        team = workers.Workers(cluster.Cluster(("a:1", "b:2"), index), None)
        try:
            found[index] = team.together(functions[index])
        except Exception as error:
            found[index] = error

    monkeypatch.setattr(workers.Workers, "every", every)
    threads = [threading.Thread(target=run, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_any_error_of_one_worker_ends_the_others_with_its_name(monkeypatch):
    def full():
        raise MemoryError("Unable to allocate 8 TiB")

    chief, other = together_on_two(monkeypatch, lambda: "read", full)
    assert isinstance(other, MemoryError)
    assert isinstance(chief, RunError)
    assert str(chief) == "Another worker failed (worker 1, b:2): MemoryError: Unable to allocate 8 TiB"
    assert together_on_two(monkeypatch, lambda: 1, lambda: 2) == [1, 2]


LONG_RUN = ("--config=synthetic", "--config.data.args.num_rows=4000", "--config.minibatch.epochs=60",
            "--config.minibatch.batch_size=100", "--config.checkpoint.every_steps=200",
            "--config.minibatch.steps_per_loop=50", "--deterministic")  # fmt: skip


def wait_for_checkpoint(workdir, processes):
    for _ in range(1200):
        if list((workdir / "checkpoints").glob("step-*[0-9]")):
            return
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.1)
    raise AssertionError("no checkpoint")


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    codes, _, err = ended(run_workers(2, *LONG_RUN, workdir=folder))
    assert codes == [0, 0], err
    return kernel_of(folder)


@pytest.mark.long
def test_a_killed_worker_is_named_and_both_resume(tmp_path, unbroken):
    workdir = tmp_path / "run"
    processes = run_workers(2, *LONG_RUN, workdir=workdir)
    wait_for_checkpoint(workdir, processes)
    processes[1].kill()
    killed = time.monotonic()
    codes, _, err = ended(processes)
    assert time.monotonic() - killed < 60
    assert codes == [1, -signal.SIGKILL]
    assert "Lost worker 1 (localhost:" in err[0]
    codes, _, err = ended(run_workers(2, *LONG_RUN, workdir=workdir))
    assert codes == [0, 0], err
    np.testing.assert_array_equal(kernel_of(workdir), unbroken)


# The command line on a disk that is full when the file argv[1] is put in place.
FULL_DISK = """
import errno, os, sys
from tf_logreg import cli
full, replace = sys.argv.pop(1), os.replace

def refuse(source, target):
    if os.path.basename(target) == full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    replace(source, target)

os.replace = refuse
cli.main()
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["model.keras", "metrics.npz", "result.json"])
def test_a_file_that_the_chief_cannot_write_is_named_by_all(tmp_path, name):
    run = tmp_path / "run"
    processes = run_workers(2, *SMALL, workdir=run, program=("-c", FULL_DISK, name))
    codes, out, err = ended(processes)
    assert codes == [2, 2], err
    for said in err:
        assert (
            f"--workdir: cannot write '{run}/{name}': No space left on device. (on worker 0, localhost:"
            in said
        )
        assert "Traceback" not in said
    assert out == ["", ""]
    assert not (run / "result.json").exists()


@pytest.mark.long
@pytest.mark.parametrize("whom", [0, 1])
def test_sigterm_to_one_of_two_saves_and_resumes(tmp_path, unbroken, whom):
    workdir = tmp_path / "run"
    processes = run_workers(2, *LONG_RUN, workdir=workdir)
    wait_for_checkpoint(workdir, processes)
    processes[whom].send_signal(signal.SIGTERM)
    codes, _, err = ended(processes)
    assert codes == [3, 3], err
    codes, _, err = ended(run_workers(2, *LONG_RUN, workdir=workdir))
    assert codes == [0, 0], err
    np.testing.assert_array_equal(kernel_of(workdir), unbroken)


# Meeting, in this process.


def test_an_absent_worker_is_named():
    ports = free_ports(2)
    found = cluster.resolve(f"localhost:{ports[0]},localhost:{ports[1]}", 0, "")
    began = time.monotonic()
    with pytest.raises(
        InputError, match=rf"--startup_timeout: worker 1 \(localhost:{ports[1]}\) did not come"
    ):
        meeting.meet(found, 1.0)
    assert time.monotonic() - began < 10


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        found = cluster.resolve(f"localhost:{taken.getsockname()[1]},localhost:1", 0, "")
        with pytest.raises(InputError, match="is in use"):
            meeting.meet(found, 1.0)


def tf_config(**changes):
    return json.dumps(
        {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}, **changes}
    )


@pytest.mark.parametrize(
    ("hosts", "index", "environ", "message"),
    [
        ("", -1, "not JSON", "TF_CONFIG: expected JSON like"),
        ("", -1, '{"cluster": {"worker": ["a:1"]}}', "KeyError: 'task'"),
        ("", -1, tf_config(task={"type": "worker", "index": 2}), "worker 0 to 1. Received: worker 2"),
        ("", -1, tf_config(task={"type": "ps", "index": 0}), "Received: ps 0"),
        ("", -1, tf_config(cluster={"worker": ["a", "b:2"]}), "expected HOST:PORT. Received: 'a'"),
        (
            "a:1,b:2",
            -1,
            "",
            "--task_index: expected this worker's place in --worker_hosts, 0 to 1. Received: nothing",
        ),
        ("a:1,b:2", 2, "", "Received: 2"),
        ("a:1,b", 0, "", "--worker_hosts: expected HOST:PORT. Received: 'b'"),
        ("a:1,a:1", 0, "", "'a:1' twice"),
        ("", 0, "", "--worker_hosts: expected HOST:PORT"),
    ],
)
def test_clusters_that_cannot_be(hosts, index, environ, message):
    with pytest.raises(InputError, match=re.escape(message)):
        cluster.resolve(hosts, index, environ)


def test_tf_config_wins_and_may_have_a_chief():
    both = tf_config(cluster={"chief": ["c:9"], "worker": ["a:1", "b:2"]})
    assert cluster.resolve("x:1,y:2", 0, both) == cluster.Cluster(("c:9", "a:1", "b:2"), 2)
    assert cluster.resolve("x:1,y:2", 0, "") == cluster.Cluster(("x:1", "y:2"), 0)
