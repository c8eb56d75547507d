"""The files that a path stands for: one file, several with commas between, a pattern, or a folder.

A folder named `year=2024` below the given one is a column 'year' of the files in it, as Hive and Spark write
them. Each file is read once, also where several links point at it.
"""

import dataclasses
import glob
import os
import urllib.parse

from tf_logreg import storage
from tf_logreg.errors import InputError

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # the folder of the rows that have none


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a table: its path, and the names and values of the folders 'name=value' above it."""

    path: str
    partitions: tuple[tuple[str, str | None], ...] = ()


def files_of_splits(
    path: str, validation_path: str, test_path: str, endings: tuple[str, ...]
) -> dict[str, list[File]]:
    """The files of each split that has any.

    Args:
        path, validation_path, test_path: as the user gave them; '' for a split without files.
        endings: of the files that are read in a folder.

    Raises:
        InputError: a path without a file, no path at all, or a file that stands there twice.
    """
    asked = {
        "train": (path, "data.args.path"),
        "validation": (validation_path, "data.args.validation_path"),
        "test": (test_path, "data.args.test_path"),
    }
    found: dict[str, list[File]] = {}
    for split, (text, field) in asked.items():
        if text.strip():
            found[split] = _files(text, field, endings)
    if "train" not in found:
        raise InputError(f"data.args.path: expected a file, a folder or a pattern. Received: {path!r}.")
    _refuse_twice([file.path for some in found.values() for file in some])
    return found


def _files(text: str, field: str, endings: tuple[str, ...]) -> list[File]:
    """The files of one split, in the order of the list and by name within a folder or pattern."""
    whole = storage.path_or_address(text, field)
    found = []
    # A path with a comma in it is taken as it is where there is such a file.
    for one in [text] if storage.exists(whole) else text.split(","):
        local = storage.path_or_address(one.strip(), field)
        if not local:
            raise InputError(f"{field}: expected a file between two commas. Received: {text!r}.")
        if storage.is_folder(local):
            some = _in_folder(local, local, endings)
            what = f"no file in this folder ends with {' or '.join(endings)}"
        elif storage.exists(local):
            some, what = [File(local)], ""
        elif glob.has_magic(local):
            some, what = _of_pattern(local, endings), "no file has a name of this pattern"
        else:
            some, what = [], "no such file"
        if not some:
            raise InputError(f"{field}: expected a file. Received: {one!r}; {what}.")
        found += _once(some)
    for file in found:
        if not storage.is_file(file.path):  # a pipe cannot be read twice, and a device has no end
            raise InputError(f"{field}: expected a regular file. Received: {file.path!r}.")
    return found


def _of_pattern(pattern: str, endings: tuple[str, ...]) -> list[File]:
    """What has a name of this pattern; of folders, the files in them."""
    parts = pattern.split(os.sep)
    fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    root = os.sep.join(parts[:fixed])
    found = []
    for path in storage.matching(pattern):
        if storage.is_folder(path):
            found += _in_folder(path, root, endings)
        else:
            found.append(File(path, _partitions(path, root)))
    return found


def _in_folder(folder: str, root: str, endings: tuple[str, ...]) -> list[File]:
    """The files below a folder, links followed; partitions are counted from `root`."""
    # '_SUCCESS', '.part-0.crc': beside the data, not data.
    found = []
    for name in storage.files_below(folder, enters=lambda name: name[0] not in "._" or "=" in name):
        last = os.path.basename(name)
        if last[0] not in "._" and last.lower().endswith(endings):
            path = storage.join(folder, name)
            found.append(File(path, _partitions(path, root)))
    return sorted(found, key=lambda file: file.path)


def _partitions(path: str, root: str) -> tuple[tuple[str, str | None], ...]:
    """('year', '2024') of 'root/year=2024/a.csv'."""
    found = []
    for part in os.path.dirname(path)[len(root) :].split(os.sep):
        name, equals, value = part.partition("=")
        if equals and name:
            value = urllib.parse.unquote(value)
            found.append((urllib.parse.unquote(name), None if value in ("", NO_VALUE) else value))
    return tuple(found)


def _once(files: list[File]) -> list[File]:
    """The files without further links to those before."""
    seen, found = set(), []
    for file in files:
        real = storage.identity(file.path)
        if real not in seen:
            seen.add(real)
            found.append(file)
    return found


def _refuse_twice(paths: list[str]) -> None:
    """InputError where a list or two splits hold the same file."""
    first: dict[str, str] = {}
    for path in paths:
        real = storage.identity(path)
        if real in first:
            also = "" if first[real] == path else f", which is {first[real]!r} too"
            raise InputError(f"data.args: expected each file once. Received: {path!r} twice{also}.")
        first[real] = path
