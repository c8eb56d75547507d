"""The passes that a full-batch fit makes: whether they compile, their times, and the devices' limit."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator

import numpy as np

from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import load as engines
from tf_logreg.errors import InputError, InterruptError, RunError, brief
from tf_logreg.fit.full_batch import requests
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.modes.limits import Limits

log = logging.getLogger(__name__)

BYTES = {"bfloat16": 2, "float32": 4, "float64": 8}
EXACT = ("value_and_gradient", "hessian_product")  # products that are exact to float32 on every device
_REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Pass:
    """One program.

    Attributes:
        name: of the program.
        shape: rows that it is given, features, outputs.
        compiled: whether it is compiled at all; the host's engine is NumPy.
        fault: why it did not compile or run, '' where it did.
        first: seconds of the first call, with tracing and compiling.
        seconds: of the fastest call after that.
        limit: seconds that the devices take at least, by their memory and arithmetic.
    """

    name: str
    shape: tuple[int, int, int]
    compiled: bool
    fault: str = ""
    first: float | None = None
    seconds: float | None = None
    limit: float | None = None


def of_fit(devices: Devices, source: Source, limits: Limits) -> Iterator[Pass]:
    """Makes each pass of a fit of all rows of a source, some times.

    Args:
        devices: where the passes are made, and by which engine.
        source: its classes decide which passes are made.
        limits: of the devices of this process.
    """
    n, p, classes = len(source.splits["train"]), len(source.feature_names), len(source.class_names)
    m = 1 if classes == 2 else classes
    columns = Affine(np.zeros(p), np.ones(p))
    engine = functools.cache(lambda: engines.placed_or_streamed(devices, source, np.arange(n), columns))
    penalty = np.zeros((1, p))
    problems = Penalized(
        None,
        (p, m),
        True,
        np.full(1, -1, np.int32),
        np.ones((1, classes)),
        penalty,
        penalty + 1.0,
        num_rows=n,
    )
    for request in requests.requests(problems):
        weights = (np.random.default_rng(0).normal(size=(1, p + 1, m)) / p,) * request.weights
        arguments = (request.name, weights, problems.record(np.arange(1)), request.width, request.every)
        # A Hessian on the host reads more rows, of which it chooses.
        mine = n * len(devices.workers.replicas) / devices.replicas / request.every
        least = limits.seconds(
            mine * p * BYTES[devices.dtype],
            mine * operations(request.name, p, m),
            exact=request.name in EXACT,
        )
        program = Pass(request.name, (n, p, m), devices.engine != "host", limit=least)
        yield timed(program, lambda given=arguments: engine().sums(*given))


def operations(name: str, p: int, m: int) -> int:
    """Of a row: two for each multiply-add."""
    gram = {"hessian": 2 * (p * m) ** 2, "pooled_gram": 2 * p**2}
    return 6 * p * m if name == "hessian_product" else 4 * p * m + gram.get(name, 0)


def timed(program: Pass, call: Callable[[], object], *, runs: int = 1) -> Pass:
    """A program with its times; or with its fault, where it does not compile or run.

    Args:
        program: the program.
        call: makes `runs` runs of it.
    """

    def seconds() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    log.info("selftest: %s of %s", program.name, " x ".join(map(str, program.shape)))
    first, fault = tried(seconds)
    if fault:
        return dataclasses.replace(program, fault=fault)
    fastest = min(seconds() for _ in range(_REPEATS)) / runs
    return dataclasses.replace(program, first=first, seconds=fastest)


def tried(function: Callable[[], object]) -> tuple[object, str]:
    """The function's value and '', or None and what went wrong."""
    try:
        return function(), ""
    except (InputError, RunError, InterruptError):
        raise
    except Exception as error:  # what compilers and drivers raise is just what is to be reported
        return None, f"{type(error).__name__}: {brief(error)}"


def table(passes: list[Pass]) -> list[str]:
    """The passes as lines: rows x features x outputs, seconds of the first call, then milliseconds."""
    lines = [f"{'program':<20}{'rows x features x outputs':>27}  compiled  first s        ms  limit ms"]
    for one in passes:
        head = f"{one.name:<20}{' x '.join(f'{size:,}' for size in one.shape):>27}"
        if one.fault:
            lines.append(f"{head}{'FAILED':>10}  {one.fault}")
            continue
        numbers = f"{one.first:>9.2f}{1e3 * one.seconds:>10.3f}{1e3 * one.limit:>10.3f}"
        lines.append(f"{head}{'yes' if one.compiled else 'NumPy':>10}{numbers}")
    return lines
