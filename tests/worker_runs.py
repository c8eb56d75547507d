"""The command line on several workers of this machine, each a process."""

import socket
from pathlib import Path

import numpy as np
import prepared

ROOT = Path(__file__).parents[1]
SMALL_CONFIG = ("--config=synthetic", "--config.data.args.num_rows=2000", "--config.minibatch.epochs=2")
SMALL = (*SMALL_CONFIG, "--deterministic")  # which lasts as long as a process: not for this one


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(*command, cwd=ROOT, **environ):
    return prepared.Process(command, cwd, environ)


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
            f"--worker_hosts={hosts}", f"--task_index={k}", "--startup_timeout=120", "--noreport", *flags, *each(k),
            cwd=cwd(k),
        )
        for k in range(count)
    ]  # fmt: skip


def kernel_of(workdir):
    with np.load(workdir / "coefficients.npz") as arrays:
        return arrays["kernel"]
