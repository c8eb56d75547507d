"""The files of this machine's disk: read, listed, removed, written aside and moved into place.

What is written is synced as far as the disk supports it.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from tf_logreg import ownership

ASIDE = ".writing-"  # how names of what is being written begin

# Errors of a file system that cannot sync.
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EROFS)


def names(path: str) -> list[str]:
    """Names in a folder, sorted; none if there is none."""
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def holds(path: str) -> bool:
    """Whether there is such a file or folder, even as a broken link."""
    return os.path.lexists(path)


def is_folder(path: str) -> bool:
    """Whether there is such a folder, rather than a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Opens a file for reading."""
    with open(path, "rb") as file:
        yield file


@contextlib.contextmanager
def aside(path: str, *, makes_folder: bool = True) -> Iterator[str]:
    """A path to write a file or folder at, in a temporary folder beside it, which is deleted afterwards."""
    folder, name = os.path.split(path)
    if makes_folder:
        os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=folder, ignore_cleanup_errors=True) as temporary:
        yield os.path.join(temporary, name)


def settle(path: str) -> None:
    """Syncs a file, or all files of a folder."""
    if not os.path.isdir(path):
        sync_file(path)
    for folder, _, files in os.walk(path):
        for file in files:
            sync_file(os.path.join(folder, file))


def put(path: str, target: str) -> None:
    """Moves a file into place."""
    replace(path, target)
    sync_folder(os.path.dirname(target))


def publish(path: str, target: str, marker: str, *, within: bool) -> None:
    """Moves a folder into place: whole, or file by file where folders cannot be renamed (gcsfuse: EMFILE).

    Args:
        path: the folder.
        target: where it goes.
        marker: the file without which the folder counts as absent; it is deleted first and moved last.
        within: keep other files.
    """
    if within or not renamed(path, target):
        remove(os.path.join(target, marker))
        if not within:
            remove(target)
        move_files(path, target, marker)
    sync_folder(os.path.dirname(target))


def owner_file(folder: str) -> ownership.LockedFile:
    """The file that names the owner of a folder."""
    return ownership.LockedFile(os.path.join(folder, ownership.OWNER))


def remove(path: str) -> None:
    """Deletes a file, a link or a folder, if it exists."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def renamed(source: str, target: str) -> bool:
    """Renames a folder, after moving an existing target to `source`.old; whether that worked."""
    try:
        if os.path.lexists(target):
            os.rename(target, f"{source}.old")
        os.rename(source, target)
    except OSError:
        return False
    return True


def move_files(source: str, target: str, marker: str) -> None:
    """Moves a folder's files one by one, the marker last."""
    names = [
        os.path.relpath(os.path.join(folder, file), source)
        for folder, _, files in os.walk(source)
        for file in files
    ]
    for folder, _, _ in os.walk(source):  # empty ones too
        os.makedirs(os.path.join(target, os.path.relpath(folder, source)), exist_ok=True)
    for name in sorted(names, key=lambda name: name == marker):
        replace(os.path.join(source, name), os.path.join(target, name))


def replace(source: str, target: str) -> None:
    """Moves a file, replacing whatever is at the target."""
    if os.path.isdir(target) and not os.path.islink(target):
        remove(target)
    os.replace(source, target)


def sync_file(path: str) -> None:
    """Syncs a file to disk; raises errors that only appear now (EIO, ENOSPC)."""
    with open(path, "r+b") as file:
        sync(file)


def sync(file: BinaryIO) -> None:
    """`sync_file` of an open file, whose buffers are empty."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_folder(path: str) -> None:
    """Syncs the names in a folder to disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
