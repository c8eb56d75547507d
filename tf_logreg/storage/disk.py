"""Removes files and folders, moves them into place and syncs them, as far as the disk supports it."""

import contextlib
import errno
import os
import shutil
from typing import BinaryIO

# Errors of a file system that cannot sync.
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EROFS)


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
