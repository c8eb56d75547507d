"""A process of its own that imports one package, and then fits by it as it is told.

The benchmark sends it a function of this module with its arguments. What that yields comes back: a word when
all is ready for the fit, then what was measured. The process is killed when that takes too long.
"""

import functools
import multiprocessing
import os
import resource
import sys
import time
import warnings

import classifiers
import gaps
import machine
import psutil
import race_problems

CONTEXT = multiprocessing.get_context("spawn")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
READY = 60.0  # seconds for imports, or for data and the fit that warms up


class Worker:
    """One process at a time, begun when it is needed: `imports` are the seconds that its imports took."""

    def __init__(self, package: str, threads: int = 0):
        """Keeps the name of the package and the threads that it may use, 0 for its own choice."""
        self.package, self.threads, self.imports, self._process = package, threads, 0.0, None

    def ask(self, limit: float, task, *arguments) -> dict:
        """The second that `task(*arguments)` yields there; {} if it fails or takes more than `limit` s."""
        try:
            if self._process is None:
                self._pipe, end = CONTEXT.Pipe()
                self._process = CONTEXT.Process(
                    target=serve, args=(end, self.package, self.threads), daemon=True
                )
                self._process.start()
                end.close()
                self.imports = self._receive(READY)["imports"]
            self._pipe.send((task, arguments))
            self._receive(READY)
            return self._receive(limit)
        except (EOFError, OSError, TimeoutError):
            self.close()
            return {}

    def _receive(self, limit: float) -> dict:
        if not self._pipe.poll(limit):
            raise TimeoutError
        found = self._pipe.recv()
        if "error" in found:
            print(f"{self.package}: {found['error']}", file=sys.stderr)
            raise EOFError
        return found

    def close(self) -> None:
        """Ends the process."""
        if self._process:
            self._process.kill()
            self._process.join()
        self._process = None


def serve(pipe, package: str, threads: int) -> None:
    """The process: imports, then one task after another, until it is killed."""
    os.environ.update(dict.fromkeys(THREADS, str(threads)) if threads else {})
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    # Whoever wants more memory than there is shall fail alone.
    hardest, free = resource.getrlimit(resource.RLIMIT_DATA)[1], psutil.virtual_memory().available
    most = free if hardest == resource.RLIM_INFINITY else min(free, hardest)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hardest))
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    classifiers.import_package(package, threads)
    pipe.send({"imports": time.perf_counter() - start})
    while True:
        task, arguments = pipe.recv()
        try:
            for found in task(*arguments):
                pipe.send(found)
        except Exception as error:
            pipe.send({"error": repr(error)})


data = functools.lru_cache(maxsize=1)(race_problems.read)
warm = set()  # what this process has fitted once


def ready(name: str, folder: str, form: str):
    """Reads X, and fits to a few rows: what that imports, compiles and starts is no part of later fits."""
    x, y, penalty = data(folder, form)
    if (name, folder, form) not in warm:
        few = min(100, len(y))
        weaker = {
            **penalty,
            "l1": penalty["l1"] * few / len(y),
        }  # or all coefficients are 0, and nothing compiles
        classifiers.fit(name, x[:few], y[:few], weaker, 1e-4)
        warm.add((name, folder, form))
    yield {}
    yield {"ready": True}


def measured(name: str, folder: str, form: str, tol: float, first: bool):
    """Seconds of one fit, or of up to three later ones that are short; the objective and bytes above X."""
    if not first:
        list(ready(name, folder, form))
    x, y, penalty = data(folder, form)
    yield {}
    seconds = []
    with machine.Peak() as memory:
        while not seconds or (not first and len(seconds) < 3 and sum(seconds) < 0.3):
            start = time.perf_counter()
            answer = classifiers.fit(name, x, y, penalty, tol)
            seconds.append(time.perf_counter() - start)
    x, y, penalty = race_problems.read(folder)
    yield {
        "seconds": seconds,
        "objective": gaps.objective(x, y, *answer, penalty),
        "peak": memory.above,
    }


def optimum(folder: str):
    """The objective at our best answer and at 0, and what it is certified not to be below anywhere."""
    import numpy as np

    from tf_logreg import LogisticRegression

    x, y, penalty = data(folder, "float64")
    yield {}
    strength = penalty["l1"] or penalty["l2"]
    model = LogisticRegression(
        C=1 / strength, l1_ratio=float(penalty["l1"] > 0), fit_intercept=penalty["intercept"], tol=1e-12,
        time_limit=60,
    ).fit(x, y)  # fmt: skip
    objective = gaps.objective(x, y, model.coef_.T, model.intercept_, penalty)
    gap = model.result_["certified_gap"]
    zero = len(y) * float(np.log(int(y.max()) + 1))
    yield {
        "objective": objective,
        "lower": objective - len(y) * (gap or 0),
        "zero": zero,
        "certified": gap is not None,
    }


def profile(folder: str, form: str, tol: float):
    """Where a later fit of ours spends its time, the main thread waiting for the others included."""
    import cProfile

    x, y, penalty = data(folder, form)
    classifiers.fit("ours", x, y, penalty, tol)
    yield {}
    profiler = cProfile.Profile()
    profiler.runcall(classifiers.fit, "ours", x, y, penalty, tol)
    yield {"lines": machine.profile_lines(profiler, "tf_logreg")}
