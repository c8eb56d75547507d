"""Two runs and one directory: never the files of both, and never two exit codes of 0."""

import os
import shutil

import numpy as np
import prepared
import pytest

from tf_logreg.data import dataset
from tf_logreg.results import measurement

SMALL = [
    "--config=synthetic",
    "--config.data.args.num_rows=300",
    "--config.solver.name=newton",
    "--config.l2=0.01",
]


def files(folder):
    """Every file and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def before_saving(monkeypatch):
    """Lets the next run do something between its fit and its files."""

    def arrange(action):
        evaluate = measurement.evaluate_model

        def first(*args, **kwargs):
            monkeypatch.setattr(measurement, "evaluate_model", evaluate)
            action()
            return evaluate(*args, **kwargs)

        monkeypatch.setattr(measurement, "evaluate_model", first)

    return arrange


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("other", [SMALL, [*SMALL, "--config.l2=0.5"]], ids=["equal", "another"])
def test_a_second_run_is_told_who_is_there(command, tmp_path, before_saving, other, overwrite):
    run, found = f"--workdir={tmp_path}/run", []
    flag = f"--overwrite={str(overwrite).lower()}"
    before_saving(lambda: found.append(command(*other, run, flag)))
    code, out, err = command(*SMALL, run)
    assert code == 0, err
    code, second, err = found[0]
    assert (code, second) == (2, "")
    assert f"is in use by process {os.getpid()} on " in err or "another config" in err
    assert command(*SMALL, run)[:2] == (0, out)


@pytest.mark.parametrize("mode", ["evaluate", "export"])
def test_an_unfinished_run_is_neither_measured_nor_exported(command, tmp_path, before_saving, mode):
    run, found = f"--workdir={tmp_path}/run", []
    before_saving(lambda: found.append(command(f"--mode={mode}", run)))
    assert command(*SMALL, run)[0] == 0
    assert found[0][0] == 2
    assert "without result.json" in found[0][2]


def test_a_directory_that_is_deleted_under_a_run(command, tmp_path, before_saving):
    before_saving(lambda: shutil.rmtree(tmp_path / "run"))
    code, out, err = command(*SMALL, f"--workdir={tmp_path}/run")
    assert (code, out) == (1, "")
    assert "was deleted or moved while this run was at work" in err
    assert os.listdir(tmp_path) == []


def test_a_directory_that_another_run_filled_meanwhile(command, tmp_path, before_saving):
    run, found = tmp_path / "run", []
    other = [*SMALL, "--config.l2=0.5", f"--workdir={run}"]

    def replace():
        shutil.rmtree(run)
        found.append(command(*other))
        found.append(files(run))

    before_saving(replace)
    code, out, err = command(*SMALL, f"--workdir={run}")
    assert (code, out) == (1, "")
    assert "was deleted or moved" in err
    assert found[0][0] == 0
    assert files(run) == found[1]
    assert command(*other)[:2] == (0, found[0][1])


def test_a_run_that_finds_itself_finished_when_it_has_read_its_data(command, tmp_path, monkeypatch):
    flags, found, read = [*SMALL, f"--workdir={tmp_path}/run"], [], dataset.read_data

    def first(*args):
        monkeypatch.setattr(dataset, "read_data", read)
        found.append(command(*flags))
        found.append(files(tmp_path / "run"))
        return read(*args)

    monkeypatch.setattr(dataset, "read_data", first)
    code, out, err = command(*flags)
    assert code == 0, err
    assert (0, out) == found[0][:2]
    assert files(tmp_path / "run") == found[1]


def test_another_run_begins_while_the_data_are_read(command, tmp_path, monkeypatch):
    run, found, read = f"--workdir={tmp_path}/run", [], dataset.read_data

    def first(*args):
        monkeypatch.setattr(dataset, "read_data", read)
        found.append(command(*SMALL, "--config.l2=0.5", run))
        found.append(files(tmp_path / "run"))
        return read(*args)

    monkeypatch.setattr(dataset, "read_data", first)
    code, out, err = command(*SMALL, run)
    assert (code, out) == (2, "")
    assert "holds a run of another config" in err
    assert found[0][0] == 0
    assert files(tmp_path / "run") == found[1]


@pytest.mark.long
def test_two_processes_at_once(tmp_path):
    """Whoever loses says who won, or finds the result."""
    both = [prepared.Process(["-m", "tf_logreg", *SMALL, f"--workdir={tmp_path}/run"]) for _ in "ab"]
    found = [(*process.communicate(timeout=300), process.returncode) for process in both]
    codes = sorted(code for _, _, code in found)
    assert codes in ([0, 0], [0, 2]), found
    printed = {out for out, _, code in found if code == 0}
    assert len(printed) == 1
    assert all("is in use by process" in err for _, err, code in found if code == 2)
    with np.load(tmp_path / "run" / "coefficients.npz") as arrays:
        assert np.isfinite(arrays["kernel"]).all()
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
