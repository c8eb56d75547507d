"""Whether the data of a run are still what it read."""

from collections.abc import Callable

from tf_logreg import storage
from tf_logreg.errors import InputError

# Recorded digests of the data -> current ones: {'version': ..., 'files': {name: {'sha256': ...}}}.
Digests = Callable[[dict], dict]


def check_data(folder: storage.Folder, record: dict, digests: Digests, *, remedy: str) -> list[str]:
    """Compares the data's files with those that the run read.

    Args:
        folder: the work directory.
        record: its `config.json`.
        digests: recorded -> current digests of the files.
        remedy: a sentence for the message about changed files.

    Returns:
        Names of files that no longer exist.

    Raises:
        InputError: a file has changed, or there is a new one.
    """
    known = record["data"]
    files = known.get("files") if isinstance(known, dict) else None
    if not isinstance(files, dict) or not all(isinstance(file, dict) for file in files.values()):
        raise InputError(
            f"{folder.field}: cannot use {folder.where('config.json')!r}: its 'data' are damaged."
        )
    now = digests(known)
    if now["version"] != known.get("version"):
        raise InputError(
            f"data: the source gives other rows than for the run in {folder.path!r}: its version is "
            f"{now['version']}, not {known.get('version')}. {remedy}"
        )
    for name, file in now["files"].items():
        if files.get(name, {}).get("sha256") != file["sha256"]:
            raise InputError(f"data: {name!r} has changed since the run in {folder.path!r} read it. {remedy}")
    return sorted(files.keys() - now["files"].keys())
