"""Files of the user's, which are only read: on this machine's disk, or in a store.

A file in a store is copied to the disk, whole, when it is first read.
"""

import contextlib
import fnmatch
import glob
import os
import stat
from collections.abc import Callable, Iterator

from tf_logreg.errors import InputError, brief
from tf_logreg.storage import copies, remote, stores


def is_file(path: str) -> bool:
    """Whether there is such a regular file; a pipe or a device is none."""
    with _told(path):
        return stores.of(path).stamp(path) is not None if stores.is_address(path) else os.path.isfile(path)


def is_folder(path: str) -> bool:
    """Whether there is such a folder, or a link to one."""
    with _told(path):
        return remote.is_folder(path) if stores.is_address(path) else os.path.isdir(path)


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    with _told(path):
        return remote.holds(path) if stores.is_address(path) else os.path.exists(path)


def matching(pattern: str) -> list[str]:
    """The files and folders that a pattern stands for, sorted; `**` stands for any folders."""
    if not stores.is_address(pattern):
        return sorted(glob.glob(pattern, recursive=True))
    scheme, _, rest = pattern.partition("://")
    bucket, *parts = rest.split("/")
    with _told(pattern):
        return sorted(set(_matching(f"{scheme}://{bucket}", parts)))


def _matching(folder: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        if remote.holds(folder):
            yield folder
        return
    first, *rest = parts
    if not glob.has_magic(first):
        yield from _matching(f"{folder}/{first}", rest)
        return
    if first == "**":
        yield from _matching(folder, rest)
    for name in remote.names(folder):
        if first == "**":
            yield from _matching(f"{folder}/{name}", parts)
        elif fnmatch.fnmatchcase(name, first):
            yield from _matching(f"{folder}/{name}", rest)


def files_below(folder: str, enters: Callable[[str], bool] = lambda name: True) -> list[str]:
    """The files below a folder, by their names in it, sorted; links to folders are followed, once each.

    Args:
        folder: a path or an address.
        enters: whether a folder of some name is looked into.
    """
    if stores.is_address(folder):
        with _told(folder):
            return remote.files_below(folder, enters)
    found, visited = [], set()
    for here, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in visited:  # a link to a folder above
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if enters(name))
        found += [os.path.relpath(os.path.join(here, name), folder) for name in names]
    return sorted(found)


def identity(path: str) -> str:
    """What two paths of the same file have in common."""
    return path if stores.is_address(path) else os.path.realpath(path)


def on_disk(path: str, field: str = "data") -> str:
    """The path of a file or folder on this machine's disk: itself, or a copy of what is in a store.

    Args:
        path: a path or an address.
        field: the flag or config field it came from, for messages.

    Raises:
        InputError: a store has no such file, or does not give it.
    """
    if not stores.is_address(path):
        return path
    try:
        with _told(path, field):
            return copies.fetched_folder(path) if remote.is_folder(path) else copies.fetched(path)
    except FileNotFoundError:
        raise InputError(f"{field}: no such file. Received: {path!r}.") from None


def stamp(path: str) -> list[int] | None:
    """Size and times of a file, in nanoseconds; None if it does not exist.

    A store's times need not mean anything: two files with the same stamp may differ, see `is_address`.
    """
    if stores.is_address(path):
        with _told(path):
            return stores.of(path).stamp(path)
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


@contextlib.contextmanager
def _told(path: str, field: str = "data") -> Iterator[None]:
    """Raises errors of a store as an InputError that names the path; but for a file that is not there."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{field}: cannot read {path!r}: {error.strerror or brief(error)}.") from None
