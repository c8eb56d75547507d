"""Several worker processes on loopback give the same answers as one."""

import json

import numpy as np
import pytest
from problems import random_problem
from worker_process import CASES, run_cases
from worker_runs import SMALL, SMALL_CONFIG, ended, free_ports, kernel_of, run_workers, start

from tf_logreg.devices.strategies import make_strategy

# Three processes take minutes for all cases: `make test` has one of each kind, on three workers.
QUICK = ("newton", "two_rows", "sgd")
MINIBATCH = {
    "sgd": 1e-5,
    "adam": 1e-4,
    "adam_again": 1e-4,
    "adam_streamed": 1e-4,
}  # of the largest coefficient


def fitted(tmp_path_factory, counts, cases):
    """{workers: [{case: arrays} of each worker]}; 1 is this process by itself."""
    found = {}
    for count in counts:
        folder = tmp_path_factory.mktemp(f"workers{count}")
        if count == 1:
            run_cases(make_strategy("mirrored", num_virtual_cpus=1), 0, folder, cases)
        else:
            hosts = ",".join(f"localhost:{port}" for port in free_ports(count))
            processes = [start("tests/worker_process.py", hosts, k, folder, *cases) for k in range(count)]
            codes, _, errors = ended(processes)
            assert codes == [0] * count, errors
        found[count] = [
            {name: dict(np.load(folder / f"{name}.{k}.npz")) for name in cases} for k in range(count)
        ]
    return found


@pytest.fixture(scope="session")
def quick_answers(tmp_path_factory):
    return fitted(tmp_path_factory, (1, 3), QUICK)


@pytest.fixture(scope="session")
def other_answers(tmp_path_factory):
    return fitted(tmp_path_factory, (1, 2), CASES)


def check_agreement(answers, case):
    """Every worker has the same bits, and those are one process's answer but for rounding."""
    (alone,) = answers.pop(1)
    assert answers
    for team in answers.values():
        for worker in team:
            np.testing.assert_array_equal(worker[case]["kernel"], team[0][case]["kernel"])
            if case in MINIBATCH:
                scale = np.abs(alone[case]["kernel"]).max()
                np.testing.assert_allclose(
                    worker[case]["kernel"], alone[case]["kernel"], atol=scale * MINIBATCH[case]
                )
                continue
            assert worker[case]["status"] == alone[case]["status"] == "optimal"
            for name in ("kernel", "bias"):
                np.testing.assert_allclose(worker[case][name], alone[case][name], rtol=1e-7, atol=1e-8)
                np.testing.assert_array_equal(worker[case][name], team[0][case][name])


@pytest.mark.parametrize("case", QUICK)
def test_fits_agree(quick_answers, case):
    check_agreement(dict(quick_answers), case)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_other_fits_agree(other_answers, case):
    check_agreement(dict(other_answers), case)


@pytest.mark.long
def test_repeats_on_the_same_workers_are_bit_equal(other_answers):
    for worker in other_answers[2]:
        np.testing.assert_array_equal(worker["adam"]["kernel"], worker["adam_again"]["kernel"])


# The command line.


def test_two_workers_from_the_command_line(tmp_path, command):
    codes, out, err = ended(run_workers(2, *SMALL, workdir=tmp_path / "two"))
    assert codes == [0, 0], err
    assert "2 workers; communication took about" in out[0]
    assert out[1] == ""  # only the chief speaks
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert (result["num_workers"], result["num_replicas"]) == (2, 2)
    assert 0 < result["communication"] <= 1
    code, _, err = command(*SMALL_CONFIG, f"--workdir={tmp_path / 'one'}")
    assert code == 0, err
    np.testing.assert_allclose(kernel_of(tmp_path / "two"), kernel_of(tmp_path / "one"), atol=1e-4)
    alone = json.loads((tmp_path / "one" / "result.json").read_text())
    assert set(result["metrics"]) == set(alone["metrics"])
    for role in alone["metrics"]:
        for name in ("log_loss", "accuracy", "roc_auc", "num_rows"):
            assert result["metrics"][role][name] == pytest.approx(alone["metrics"][role][name], rel=1e-4)


@pytest.mark.long
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
