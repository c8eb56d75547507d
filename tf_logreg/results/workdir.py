"""The work directory: whose it is, and writing into it so that a reader never sees half a file."""

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tf_logreg.errors import InputError

ARTEFACTS = (
    "config.json",
    "result.json",
    "evaluation.json",
    "selftest.txt",
    "plan.json",
    "coefficients.npz",
    "metrics.npz",
    "path.npz",
    "path.csv",
    "path.png",
    "model.keras",
    "export",
    "events",
    "checkpoints",
)


def find_run(workdir: str, record: dict, *, overwrite: bool) -> dict | None:
    """Looks at a work directory before a run; writes and deletes nothing.

    Args:
        workdir: the path.
        record: what `config.json` will hold; 'config' and 'dtype' make it the same run.
        overwrite: whether a run that is there may be replaced.

    Returns:
        The result of the same run when it is there and finished, else None.

    Raises:
        InputError: the path is empty or a file, or holds another run or other files.
    """
    if not workdir:
        raise InputError("--workdir: expected a directory for the run's files. Received: ''.")
    path = Path(workdir)
    if path.exists() and not path.is_dir():
        raise InputError(f"--workdir: expected a directory. Received: {workdir!r}, a file.")
    if not path.exists() or not any(path.iterdir()):
        return None
    if not (path / "config.json").exists():
        raise InputError(
            f"--workdir: expected an empty directory or a run's. Received: {workdir!r}, with other files."
        )
    if overwrite:
        return None
    there = read_json(workdir, "config.json")
    if any(there.get(key) != record[key] for key in ("config", "dtype")):
        raise InputError(
            f"--workdir: {workdir!r} holds a run of another config. "
            "Give another directory, or --overwrite to delete it."
        )
    return read_json(workdir, "result.json") if (path / "result.json").exists() else None


def start_run(workdir: str, record: dict, *, overwrite: bool) -> None:
    """Makes the directory, deletes what an earlier run of ours left, and writes `config.json`.

    Checkpoints are deleted by `overwrite` alone: without it they are this run's own, to resume from.

    Raises:
        InputError: the directory cannot be written.
    """
    path = Path(workdir)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in ARTEFACTS:
            if name != "config.json" and (overwrite or name != "checkpoints"):
                _remove(path / name)
        write_json(workdir, "config.json", record)
    except OSError as error:
        raise InputError(f"--workdir: cannot write to {workdir!r}: {error}.") from None


def read_json(workdir: str, name: str) -> dict:
    """Reads one of the run's JSON files.

    Raises:
        InputError: it is missing or is not JSON.
    """
    path = Path(workdir) / name
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"--workdir: expected a finished run. Received: {workdir!r}, without {name}."
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(f"--workdir: {str(path)!r} is not JSON: {error}.") from None


def read_coefficients(
    workdir: str, columns: tuple[str, ...], class_names: tuple[str, ...], output: str
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [p, m] and bias [m] of another run, in raw units, to start from.

    Raises:
        InputError: no such run, or one over other features, classes or outputs.
    """
    path = Path(workdir) / "coefficients.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("kernel", "bias", "feature_names", "class_names")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"solver.warm_start: expected a finished run. Received: {workdir!r} ({error})."
        ) from None
    for name, expected in (("feature_names", columns), ("class_names", class_names)):
        if tuple(found[name].tolist()) != expected:
            raise InputError(
                f"solver.warm_start: expected a run with the same {name}, {len(expected)} of them. "
                f"Received: {workdir!r} with {len(found[name])}."
            )
    outputs = 1 if output == "sigmoid" else len(class_names)
    if found["kernel"].shape[1] != outputs:
        raise InputError(
            f"solver.warm_start: expected a run with model.output={output!r}, {outputs} outputs. "
            f"Received: {workdir!r} with {found['kernel'].shape[1]}."
        )
    return found["kernel"], found["bias"]


def write_json(workdir: str, name: str, value: dict) -> None:
    """Writes a JSON file; NaN and infinity are refused, they are not JSON."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with aside(workdir, name) as path:
        path.write_text(text + "\n")


def write_text(workdir: str, name: str, text: str) -> None:
    """Writes a text file, in a directory that is made if need be."""
    try:
        Path(workdir).mkdir(parents=True, exist_ok=True)
        with aside(workdir, name) as path:
            path.write_text(text)
    except OSError as error:
        raise InputError(f"--workdir: cannot write to {workdir!r}: {error}.") from None


def write_arrays(workdir: str, name: str, arrays: dict[str, np.ndarray]) -> None:
    """Writes an .npz file without pickles."""
    with aside(workdir, name) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def write_with(workdir: str, name: str, save: Callable[[str], None]) -> None:
    """Lets `save(path)` write a file or a folder aside, then puts it in place."""
    with aside(workdir, name) as path:
        save(str(path))


def write_within(workdir: str, name: str, save: Callable[[str], None]) -> None:
    """Lets `save(path)` write a folder aside, then puts each thing in it in place; all else there stays."""
    (Path(workdir) / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=workdir) as folder:
        new = Path(folder) / name
        save(str(new))
        for part in sorted(new.iterdir()):
            write_with(f"{workdir}/{name}", part.name, part.rename)


@contextlib.contextmanager
def aside(workdir: str, name: str) -> Iterator[Path]:
    """A path to write to that is renamed to workdir/name when the block ends well."""
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=workdir) as folder:
        path = Path(folder) / name
        yield path
        target = Path(workdir) / name
        if target.is_dir():
            _remove(target)
        os.replace(path, target)


def _remove(path: Path) -> None:
    """Deletes a file or a folder; missing is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
