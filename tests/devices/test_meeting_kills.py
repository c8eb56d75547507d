"""Whole processes that meet while others die or strangers come in: all end in time, with a reason."""

import contextlib
import os
import signal
import socket
import threading
import time

import numpy as np
import pytest
from worker_runs import SMALL, ended, free_ports, kernel_of, run_workers, start

from tf_logreg.devices import cluster, meeting

pytestmark = pytest.mark.long

CONNECT = """
import sys
from tf_logreg.devices import strategies
from tf_logreg.errors import InputError
try:
    strategies.make_strategy("multi_worker_mirrored", worker_hosts=sys.argv[1], task_index=int(sys.argv[2]), startup_timeout=20)
except InputError as error:
    sys.exit(f"refused: {error}")
"""


def ports_of(processes):
    """The ports in --worker_hosts."""
    hosts = next(flag for flag in processes[0].args if flag.startswith("--worker_hosts="))
    return [int(host.rpartition(":")[2]) for host in hosts.removeprefix("--worker_hosts=").split(",")]


def wait_for_port(port, process):
    """Returns when something listens at a port."""
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
            return
        assert process.poll() is None, ended([process])
        time.sleep(0.05)
    raise AssertionError("nobody listens")


@pytest.mark.parametrize("lost", [0, 1])
def test_a_worker_lost_between_the_meeting_and_tensorflow(lost):
    hosts = tuple(f"localhost:{port}" for port in free_ports(2))
    process = start("-c", CONNECT, ",".join(hosts), 1 - lost)
    wait_for_port(cluster.endpoint(hosts[1 - lost])[1], process)
    meeting.meet(cluster.Cluster(hosts, lost), 20, {"--all_reduce_alg": "", "--num_gpus": 0})
    met = time.monotonic()  # and this worker never starts TensorFlow
    _, _, (said,) = ended([process])
    assert time.monotonic() - met < 60
    assert f"refused: --startup_timeout: worker {lost} ({hosts[lost]}) came to the meeting, but" in said


def test_strangers_all_through_a_run(tmp_path):
    processes = run_workers(2, *SMALL, workdir=tmp_path / "run")
    ports, over = ports_of(processes), threading.Event()

    def disturb():
        rng, kept = np.random.default_rng(0), []
        while not over.wait(0.02):
            with contextlib.suppress(OSError):
                one = socket.create_connection(("localhost", ports[rng.integers(2)]), timeout=1)
                one.sendall(
                    (b"", b"GET / HTTP/1.1\r\n\r\n", rng.bytes(2000), b"tf_logreg worker 1\n")[
                        rng.integers(4)
                    ]
                )
                kept.append(one)
            for one in kept[:-100]:
                one.close()
            del kept[:-100]
        for one in kept:
            one.close()

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        codes, _, err = ended(processes)
    finally:
        over.set()
        disturbing.join()
    assert codes == [0, 0], err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    codes, _, err = ended(run_workers(2, *SMALL, workdir=folder))
    assert codes == [0, 0], err
    return kernel_of(folder)


@pytest.mark.parametrize("seed", range(6))
def test_a_worker_killed_at_a_random_moment_of_the_start(tmp_path, whole, seed):
    rng, workdir = np.random.default_rng(seed), tmp_path / "run"
    victim = seed % 2
    processes = run_workers(2, *SMALL, "--startup_timeout=15", workdir=workdir)
    wait_for_port(ports_of(processes)[victim], processes[victim])
    time.sleep(rng.uniform(0, 4))
    os.kill(processes[victim].pid, signal.SIGKILL)
    killed = time.monotonic()
    codes, _, err = ended(processes)
    assert time.monotonic() - killed < 90
    assert codes[1 - victim] in (0, 1, 2), err  # 0: the victim's part was done
    assert "Traceback" not in err[1 - victim]
    if codes[1 - victim]:
        assert f"worker {victim} (localhost:" in err[1 - victim], err[1 - victim]
    codes, _, err = ended(run_workers(2, *SMALL, workdir=workdir))
    assert codes == [0, 0], err
    np.testing.assert_array_equal(kernel_of(workdir), whole)
