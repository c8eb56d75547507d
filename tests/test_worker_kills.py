"""One of two workers is killed or told to end: the other says so, and the same command ends with the same bits."""

import signal
import time

import numpy as np
import pytest
from worker_runs import ended, kernel_of, run_workers

pytestmark = pytest.mark.long


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
