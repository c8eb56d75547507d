"""Random cases through the command line against a reference: no traceback, no silent disagreement.

`make test-long` takes three minutes of them, `make test-deep` 2,000; FUZZ_CASES=first:last some others.
"""

import collections
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import fuzzing
import numpy as np
import prepared
import pytest
from ml_collections import ConfigDict

from tf_logreg import config as configs

ROOT = Path(__file__).parents[1]
COMMON = ["--config=numpy_arrays", "--config.data.validation_fraction=0.0", "--config.data.test_fraction=0.0"]


def fields(section: ConfigDict, prefix: str = "") -> tuple[str, ...]:
    """The config's fields by dotted name, but for those that a case sets or that only make it longer."""
    found = []
    for name, value in section.items():
        if isinstance(value, ConfigDict):
            found += fields(value, f"{prefix}{name}.")
        elif name not in ("epochs", "path"):
            found.append(prefix + name)
    return tuple(found)


FIELDS = fields(configs.get_config())


def flags_of(case: fuzzing.Case, folder: Path) -> list[str]:
    """Writes the case's file and gives its command line."""
    (folder / "rows.npz").write_bytes(case.content)
    return [*COMMON, f"--config.data.args.path={folder}/rows.npz", *case.flags, f"--workdir={folder}/run"]


def check(case: fuzzing.Case, folder: Path, answer: tuple[int, str, str]) -> str:
    """Asserts that the answer is as promised; the status, or 'refused'."""
    code, out, err = answer
    assert "Traceback" not in err
    assert code in (0, 2), f"exit {code}: {err}"
    if code == 2:
        assert case.expected != fuzzing.FITS, f"refused: {err}"
        assert err.strip()
        assert not (folder / "run" / "result.json").exists()
        return "refused"
    assert case.expected != fuzzing.REFUSED, f"not refused: {out}"
    result = json.loads((folder / "run" / "result.json").read_text(), parse_constant=pytest.fail)
    if case.problem is None:
        return result["status"]
    with np.load(folder / "run" / "coefficients.npz") as arrays:
        kernel, bias = arrays["kernel"], arrays["bias"]
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()
    problem, null = case.problem, case.problem.best(features=False)
    reached, losses = (
        problem.objective(kernel, bias),
        problem.log_losses(problem.logits(kernel, bias), measured=True),
    )
    assert result["objective"] == pytest.approx(reached, rel=1e-6, abs=1e-6 * null)
    assert result["metrics"]["train"]["log_loss"] == pytest.approx(
        np.average(losses, weights=case.weight), rel=1e-3, abs=1e-3 * null
    )
    if result["status"] == "optimal":
        least = problem.best()
        assert reached <= least + 2e-6 * null, f"optimal at {reached} where {least} can be reached"
    elif result["status"] == "separated":
        assert problem.separable(), result["message"]
    else:
        assert result["status"] == "max_passes"
        least, gap = problem.best(), result["certified_gap"]
        assert gap is None or reached <= least + gap + 2e-6 * null, f"{reached} where {least} can be reached"
    return result["status"]


def run_cases(command, folder: Path, seeds) -> collections.Counter:
    """Runs cases until the seeds or the time are used up: how they ended. All that fail are told at once."""
    ends, failures = collections.Counter(), []
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        case = fuzzing.draw(seed, FIELDS)
        try:
            ends[_end(command, case, place)] += 1
        except Exception as error:  # a traceback that left the command line is a failure like others
            failures.append(f"{_told(case)}\n    {type(error).__name__}: {str(error)[:600]}")
        shutil.rmtree(place)
    assert not failures, f"{len(failures)} of {len(failures) + ends.total()} cases\n" + "\n".join(failures)
    return ends


def _end(command, case: fuzzing.Case, folder: Path) -> str:
    """Runs one case, every tenth again and evaluated too; how it ended."""
    flags = flags_of(case, folder)
    end = check(case, folder, command(*flags))
    if end != "refused" and case.seed % 10 == 0:
        assert check(case, folder, command(*flags)) == end, "the same command again"
        code, _, err = command("--mode=evaluate", f"--workdir={folder}/run")
        assert code == 0, err
    return end


def _told(case: fuzzing.Case) -> str:
    return "; ".join(case.told) + " | " + " ".join(case.flags)


@pytest.mark.long
def test_cases_for_three_minutes(command, tmp_path):
    end = time.monotonic() + 180
    seeds = iter(range(10**6, 2 * 10**6))
    ends = run_cases(command, tmp_path, iter(lambda: next(seeds) if time.monotonic() < end else None, None))
    assert ends["optimal"] > 10
    assert ends["refused"] > 5


@pytest.mark.deep
def test_two_thousand_cases(command, tmp_path):
    first, last = map(int, os.environ.get("FUZZ_CASES", "0:2000").split(":"))
    ends = run_cases(command, tmp_path, range(first, last))
    print(dict(ends))
    assert ends["optimal"] > (last - first) / 4


def interrupted(flags: list[str], number: int, delay: float) -> tuple[int, str, str]:
    """The command as a process that gets a signal after so many seconds."""
    process = prepared.Process(["run.py", *flags])
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=pytest.mark.long if seed < 4 else pytest.mark.deep) for seed in range(50)],
)
def test_a_case_as_a_process_with_a_signal(tmp_path, seed):
    """Ended, told to stop or killed, at any moment: the same command then ends as promised."""
    rng = np.random.default_rng(seed)
    case = fuzzing.draw(seed)
    flags = flags_of(case, tmp_path)
    number = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL][seed % 4]
    code, _, err = interrupted(flags, number, rng.uniform(0.5, 12))
    assert code in ((0, 2, -signal.SIGKILL) if number == signal.SIGKILL else (0, 2, 3)), err
    assert "Traceback" not in err
    check(case, tmp_path, interrupted(flags, signal.SIGTERM, 300))
