"""What goes wrong on one of several workers ends all of them, and is named by each."""

import re
import shutil
import threading

import numpy as np
import pytest
from absl import flags
from problems import random_problem
from worker_runs import SMALL, ended, run_workers

from tf_logreg import cli
from tf_logreg.devices import cluster, workers
from tf_logreg.errors import RunError


@pytest.mark.long
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
    arguments = (
        "--config=numpy_arrays",
        f"--config.data.args.path={folder}/good.npz",
        f"--workdir={folder}/run",
    )
    assert cli.exit_code(["tf_logreg", *arguments], flags.FlagValues()) == 0
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

    def from_each(team, value):
        said[team.index] = value
        barrier.wait(10)
        return list(said)

    def run(index):
        team = workers.Workers(cluster.Cluster(("a:1", "b:2"), index), None)
        try:
            found[index] = team.together(functions[index])
        except Exception as error:
            found[index] = error

    monkeypatch.setattr(workers.Workers, "from_each", from_each)
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
