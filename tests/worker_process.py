"""One worker of a test: python worker_process.py HOSTS INDEX FOLDER CASE...; `run_cases` is for one process by itself.

Runs the cases in turn under one strategy, as `make_strategy` gives it, and leaves FOLDER/CASE.INDEX.npz.
"""

import sys
import tempfile

import numpy as np
from problems import fit_arrays, random_problem, solve_arrays

from tf_logreg.devices import strategies


def full_batch(strategy, folder, **options):
    """Every method that streams or holds rows, three classes, weights."""
    x, y, weight = random_problem(333, 5, 3)
    return solve_arrays(
        x, y, weight, strategy=strategy, tmp_path=folder, tol=1e-12, **{"l2": 1e-3, **options}
    )


def two_rows(strategy, folder):
    """With three workers one has none."""
    x, y = np.array([[0.0, 1.0], [1.0, 3.0]]), np.array([0, 1], np.int32)
    return solve_arrays(x, y, strategy=strategy, tmp_path=folder, l2=0.1, tol=1e-12)


def minibatch(strategy, folder, optimizer, resident):
    """100 steps, of 26 rows: a share is uneven."""
    x, y, weight = random_problem(260, 4, 3)
    return fit_arrays(
        x, y, weight, strategy=strategy, tmp_path=folder, optimizer=optimizer, resident=resident,
        batch_size=26, epochs=10, learning_rate=0.05, dtype="float32", l2=1e-3,
    )  # fmt: skip


CASES = {
    "newton": full_batch,
    "newton_streamed": lambda s, f: full_batch(s, f, resident=False),
    "lbfgs": lambda s, f: full_batch(s, f, solver="lbfgs", l2=1e-1),
    "gradient_descent": lambda s, f: full_batch(s, f, solver="gradient_descent", l2=1e-1, max_passes=5000),
    "proximal_newton": lambda s, f: full_batch(s, f, l1=1e-2),
    "unpenalised": lambda s, f: full_batch(s, f, l2=0.0),
    "two_rows": two_rows,
    "sgd": lambda s, f: minibatch(s, f, "SGD", True),
    "adam": lambda s, f: minibatch(s, f, "Adam", True),
    "adam_again": lambda s, f: minibatch(s, f, "Adam", True),
    "adam_streamed": lambda s, f: minibatch(s, f, "Adam", False),
}


def run_cases(strategy, index, folder, cases):
    """Runs the cases in turn; FOLDER/CASE.INDEX.npz is what each gives."""
    for name in cases:
        with tempfile.TemporaryDirectory() as scratch:
            kernel, bias, result = CASES[name](strategy, scratch)
        np.savez(f"{folder}/{name}.{index}.npz", kernel=kernel, bias=bias, status=str(result.status))


def main(hosts: str, index: str, folder: str, *cases: str) -> None:
    """Runs the cases as one of the workers at `hosts`."""
    strategy = strategies.make_strategy(
        "multi_worker_mirrored", worker_hosts=hosts, task_index=int(index), startup_timeout=120
    )
    run_cases(strategy, index, folder, cases)


if __name__ == "__main__":
    main(*sys.argv[1:])
