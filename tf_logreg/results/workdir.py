"""The work directory: which run it holds, whether it is ours, and the files of a finished run.

It is ours if `config.json` has our `format` and `version`. In any other directory nothing is read, written
or deleted.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator

from tf_logreg import storage
from tf_logreg.errors import InputError
from tf_logreg.export import formats
from tf_logreg.model import bootstrap, coefficients, inference
from tf_logreg.model.model import Model
from tf_logreg.results import record_faults, wholeness
from tf_logreg.results.changed_data import Digests, check_data
from tf_logreg.tables import schema_file

log = logging.getLogger(__name__)

FORMAT, VERSION = "tf_logreg run", 2
ARTEFACTS = (
    "config.json",
    "result.json",
    "evaluation.json",
    "compare.json",
    "selftest.txt",
    "selftest.json",
    "plan.json",
    "coefficients.npz",
    "coefficients.csv",
    "inference.npz",
    "bootstrap.npz",
    "schema.json",
    "metrics.npz",
    "path.npz",
    "path.csv",
    "path.png",
    "model.keras",
    "report.html",
    *formats.FILES.values(),
    "events",
    "checkpoints",
)
_KEPT = ("checkpoints", "events")  # the state to resume from, and the curves so far
# Files of other modes, in a directory of their own.
_NOTES = ("selftest.txt", "selftest.json", "plan.json", "schema.json")
_SECONDS_TO_WAIT = 30.0  # for another measurement or export of the same run


def of(workdir: str, field: str = "--workdir") -> storage.Folder:
    """The folder of a run.

    Args:
        workdir: its path.
        field: the flag or config field that it came from.

    Raises:
        InputError: the path is empty, or not valid on this machine.
    """
    if not workdir:
        raise InputError(f"{field}: expected a directory for the run's files. Received: ''.")
    return storage.Folder(storage.path_or_address(workdir, field), field)


def find_run(folder: storage.Folder, record: dict, digests: Digests, *, overwrite: bool) -> dict | None:
    """Checks a work directory before a run, without writing or deleting anything.

    Args:
        folder: the work directory, which need not exist.
        record: future contents of `config.json`; the same 'config' and 'dtype' make it the same run.
        digests: recorded -> current digests of the data's files.
        overwrite: whether an existing run may be replaced.

    Returns:
        The result of the same run if it is finished, else None.

    Raises:
        InputError: the path is a file; the directory holds another run, other files, damaged ones, or a run
            whose data have changed.
    """
    if not folder.contents():
        return None
    there = read_record(folder)
    if overwrite:
        return None
    if any(there.get(key) != record[key] for key in ("config", "dtype")):
        raise InputError(
            f"--workdir: {folder.path!r} holds a run of another config. "
            "Give another directory, or --overwrite to delete it."
        )
    finished = folder.holds("result.json")
    if "data" in there:
        remedy = "Give --overwrite to fit them as they are now, or another directory."
        for name in check_data(folder, there, digests, remedy=remedy):
            if finished:
                log.warning("%s is gone: the result in %s is of what it held.", name, folder.path)
    elif finished:
        log.warning("%s is of an earlier version, which does not know whether its data changed.", folder.path)
    elif folder.holds("checkpoints"):
        raise InputError(
            f"--workdir: {folder.path!r} holds an unfinished run of an earlier version, which does not know "
            "whether its data changed. Give another directory, or --overwrite to start again."
        )
    if not finished:
        return None
    result = read_result(folder)
    wholeness.check_artefacts(folder, result)
    return result


def start_run(folder: storage.Folder, record: dict, *, overwrite: bool) -> None:
    """Deletes the files of an earlier run, and writes `config.json`.

    Checkpoints and events are deleted only with `overwrite`; without it, this run resumes from them.

    Args:
        folder: the work directory, owned, after `find_run`.
        record: 'config', 'dtype', 'data' and further facts.
        overwrite: whether checkpoints and events are deleted too.

    Raises:
        InputError: the directory cannot be written.
    """
    for name in ARTEFACTS:
        if name != "config.json" and (overwrite or name not in _KEPT):
            folder.remove(name)
    folder.sweep()
    folder.below("checkpoints").sweep(deep=True)
    folder.write_json("config.json", {"format": FORMAT, "version": VERSION, **record})


@contextlib.contextmanager
def finished_run(folder: storage.Folder, result: dict) -> Iterator[storage.Folder]:
    """Owns a finished run's directory to add to it.

    Args:
        folder: the work directory.
        result: the result that was read from it.

    Raises:
        InputError: another process owns it, it cannot be written, or it now holds another result.
    """
    if not folder.names():
        raise InputError(f"--workdir: expected a finished run. Received: {folder.path!r}, empty or missing.")
    with folder.owned(wait=_SECONDS_TO_WAIT) as mine:
        mine.sweep()
        if mine.read_json("result.json") != result:
            raise InputError(f"--workdir: another run was written into {folder.path!r} meanwhile. Repeat.")
        yield mine


def write_note(folder: storage.Folder, name: str, text: str) -> None:
    """Writes the text that a mode prints, into a run's directory or one of its own.

    Raises:
        InputError: the directory holds files that are not ours, or cannot be written.
    """
    if not set(folder.contents()) <= set(_NOTES):
        read_record(folder)
    folder.write_text(name, text)


def read_record(folder: storage.Folder) -> dict:
    """`config.json`, of this version or the one before.

    Raises:
        InputError: it is missing, damaged, another program's or a later version's.
    """
    if not folder.names():
        raise InputError(f"{folder.field}: expected a finished run. Received: {folder.path!r}, no directory.")
    if not folder.holds("config.json"):
        raise InputError(
            f"{folder.field}: expected an empty directory or a run's. Received: {folder.path!r}, with other "
            "files."
        )
    found = folder.read_json("config.json")
    version = found.get("version")
    if found.get("format") == FORMAT and isinstance(version, int) and version > VERSION:
        raise InputError(
            f"{folder.field}: {folder.path!r} is of a later tf_logreg, of format {version}. "
            f"This one reads up to {VERSION}."
        )
    if not (_is_ours(found) or _is_of_version_one(found)):
        raise InputError(
            f"{folder.field}: expected an empty directory or a run's. Received: {folder.path!r}, whose "
            "config.json is not ours or lacks a section. Nothing of it is touched."
        )
    return found


def read_result(folder: storage.Folder) -> dict:
    """`result.json`, with at least the fields that are printed.

    Raises:
        InputError: it is missing or damaged.
    """
    found = folder.read_json("result.json")
    if faults := record_faults.faults(found, older=True):
        raise InputError(
            f"{folder.field}: cannot use {folder.where('result.json')!r}: {faults[0]!r} is missing or of "
            "another kind."
        )
    return found


def read_model(folder: storage.Folder) -> tuple[dict, Model]:
    """A finished run's result and its model in raw units.

    Raises:
        InputError: no finished run of ours, or a damaged file.
    """
    read_record(folder)
    result, found = read_result(folder), coefficients.read(folder)
    wholeness.check_agreement(folder, result, found)
    found = _with_inference(folder, result, _with_schema(folder, found))
    return result, _with_bootstrap(folder, result, found)


def _with_inference(folder: storage.Folder, result: dict, model: Model) -> Model:
    """The model with its standard errors; InputError where their file is damaged or of another model."""
    said = result.get("inference")
    if said is None or said["missing"]:
        return model
    arrays, fault = folder.read_arrays(inference.NAME), ""
    try:
        found = inference.of_arrays(arrays)
        fault = "" if len(found.theta) == len(model.kernel) + model.has_bias else "it is of another model"
    except (KeyError, ValueError, TypeError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        raise InputError(f"{folder.field}: cannot use {folder.where(inference.NAME)!r}: {fault}.")
    return dataclasses.replace(model, inference=found)


def _with_bootstrap(folder: storage.Folder, result: dict, model: Model) -> Model:
    """The model with its bootstrap; InputError where their file is damaged or of another model."""
    if result.get("bootstrap") is None:
        return model
    arrays, fault = folder.read_arrays(bootstrap.NAME), ""
    try:
        found = bootstrap.of_arrays(arrays)
        fault = "" if found.kernel.shape[1:] == model.kernel.shape else "it is of another model"
    except (KeyError, ValueError, TypeError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        raise InputError(f"{folder.field}: cannot use {folder.where(bootstrap.NAME)!r}: {fault}.")
    return dataclasses.replace(model, bootstrap=found)


def _with_schema(folder: storage.Folder, model: Model) -> Model:
    """The model of a table with its schema; InputError where the file is damaged or of other features."""
    if not folder.holds(schema_file.NAME):
        return model
    where = folder.where(schema_file.NAME)
    schema = schema_file.of_json(folder.read_json(schema_file.NAME), where)
    if schema.feature_names != model.feature_names:
        raise InputError(
            f"{folder.field}: cannot use {where!r}: its features are not those of coefficients.npz."
        )
    return dataclasses.replace(model, schema=schema)


def load(workdir: str) -> Model:
    """The model of a finished run, in raw units; `tf_logreg.load`.

    Raises:
        InputError: no finished run of ours, or a damaged file.
    """
    result, model = read_model(of(workdir, "workdir"))
    return dataclasses.replace(model, result=result)


def _is_ours(record: dict) -> bool:
    """Whether `config.json` has our format and fields."""
    has = isinstance(record.get("config"), dict) and isinstance(record.get("dtype"), str)
    return has and record.get("format") == FORMAT and isinstance(record.get("version"), int)


def _is_of_version_one(record: dict) -> bool:
    """Whether a version up to 0.5 wrote it; those wrote no format."""
    config = record.get("config")
    return (
        {"config", "dtype"} <= set(record) <= {"config", "dtype", "flags"}
        and record["dtype"] in ("float32", "float64", "bfloat16")
        and isinstance(config, dict)
        and {"seed", "data", "model", "l1", "l2", "standardize", "minibatch", "checkpoint"} <= set(config)
        and isinstance(config["data"], dict)
        and {"source", "args", "train_split"} <= set(config["data"])
    )
