"""Which process owns a work directory while it runs: a file in it, `.owner`, and the lock on that file.

Where the file system has locks, the lock shows that the owner is alive; the system drops it when the
process ends. Without locks, as in a store, an owner on this machine is looked up by its process id. An owner
on another machine is replaced: it finds the new token before its next write, and ends.
"""

import contextlib
import dataclasses
import errno
import io
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Protocol

import psutil

from tf_logreg.errors import InputError, RunError

log = logging.getLogger(__name__)

OWNER = ".owner"
_SECONDS_BETWEEN_TRIES = 0.05
_SECONDS_AT_LEAST = 0.2  # wait for an owner that is just ending
_SECONDS_TO_SAY = 2.0  # of waiting, after which it is said


class OwnerFile(Protocol):
    """The file that names the owner, on a disk or in a store."""

    def read(self) -> dict:
        """Its contents; {} when it is missing, empty or not in our format."""

    def take(self, token: str) -> contextlib.AbstractContextManager | None:
        """Writes the token into it and gives what to hold meanwhile; None if another process owns it."""

    def delete(self) -> None:
        """Deletes it."""


@dataclasses.dataclass(frozen=True)
class Owner:
    """The process that owns a directory while it runs.

    Attributes:
        folder: the directory.
        field: the flag or config field that named it, for messages.
        token: unique to this owner; the file `.owner` in the directory holds it.
        file: that file.
    """

    folder: str
    field: str
    token: str
    file: OwnerFile

    def check(self) -> None:
        """Checks that this process still owns the directory; called before each write.

        Raises:
            RunError: the directory was deleted, or another process took it over.
            InputError: the file `.owner` cannot be read.
        """
        path = os.path.join(self.folder, OWNER)
        try:
            found = self.file.read()
        except OSError as error:
            raise InputError(f"{self.field}: cannot read {path!r}: {error.strerror or error}.") from None
        if found.get("token") == self.token:
            return
        what = f"was taken over by {who(found)}" if found else "was deleted or moved"
        raise RunError(
            f"{self.field}: {self.folder!r} {what} while this run was at work. It ends without a result and "
            "writes nothing more into it."
        )


@contextlib.contextmanager
def held(folder: str, field: str, *, wait: float = 0.0, file: OwnerFile | None = None) -> Iterator[Owner]:
    """Creates a directory if needed, and owns it for this process until the block ends.

    Args:
        folder: the directory.
        field: the flag or config field that named it, for messages.
        wait: seconds to wait for another owner to end.
        file: that names the owner; None for one on this machine's disk.

    Raises:
        InputError: another process owns it, or it cannot be written.
    """
    began = time.monotonic()
    until, is_said = began + max(wait, _SECONDS_AT_LEAST), False
    file = file or LockedFile(os.path.join(folder, OWNER))
    owner = Owner(folder, field, uuid.uuid4().hex, file)
    try:
        while (lock := file.take(owner.token)) is None:
            if time.monotonic() >= until:
                raise InputError(
                    f"{field}: {folder!r} is in use by {who(file.read())}. "
                    "Wait for it, stop it, or give another directory."
                )
            if not is_said and time.monotonic() >= began + _SECONDS_TO_SAY:
                log.info("%s is in use by %s: waiting for it.", folder, who(file.read()))
                is_said = True
            time.sleep(_SECONDS_BETWEEN_TRIES)
    except OSError as error:
        raise InputError(f"{field}: cannot write to {folder!r}: {error.strerror or error}.") from None
    with lock:
        try:
            yield owner
        finally:
            with contextlib.suppress(OSError):
                if file.read().get("token") == owner.token:
                    file.delete()


@dataclasses.dataclass(frozen=True)
class LockedFile:
    """An `OwnerFile` on a disk, and the lock on it; the folder is made where it is not there."""

    path: str

    def read(self) -> dict:
        """Its contents; {} when it is missing, empty or not in our format."""
        return _read(self.path)

    def take(self, token: str) -> io.FileIO | None:
        """Opens and locks the file and writes the token; None if another process owns it."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        return _take(self.path, token)

    def delete(self) -> None:
        """Deletes the file."""
        os.unlink(self.path)


def of_bytes(data: bytes) -> dict:
    """Contents of `.owner`; {} when they are not in our format."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def to_bytes(token: str) -> bytes:
    """What `.owner` holds while this process owns a directory."""
    myself = {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}
    return json.dumps({"token": token, **myself}).encode()


def _read(path: str) -> dict:
    """Contents of `.owner`; {} when it is missing, empty or not in our format."""
    try:
        with open(path, "rb") as file:
            return of_bytes(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}


def who(owner: dict) -> str:
    """Description of an owner for messages."""
    return (
        f"process {owner['pid']} on {owner['host']}" if {"pid", "host"} <= set(owner) else "another process"
    )


def _take(path: str, token: str) -> io.FileIO | None:
    """Opens and locks an `.owner` file and writes the token into it; None if another process owns it."""
    file = open(path, "a+b", buffering=0)  # noqa: SIM115 (the lock lasts as long as the file is open)
    held = False
    try:
        held = locked(file)
        if held is None:
            before = _read(path)
            held = not is_alive(before)
            if held and before:
                log.warning("%s: no locks here. Taking over from %s.", path, who(before))
        if held:
            file.truncate(0)
            text = to_bytes(token)
            if file.write(text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())
            # An owner deletes its file when it ends, so the file that was opened may no longer be there.
            if _read(path).get("token") == token:
                return file
    except BaseException:
        if held:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        file.close()
        raise
    file.close()
    return None


def locked(file: io.FileIO) -> bool | None:
    """Locks an open file; whether that worked, None if the file system has no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(2**30)  # beyond the text, which other processes read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def is_alive(owner: dict) -> bool:
    """Whether the owner is a running process on this machine."""
    if owner.get("host") != socket.gethostname():
        return False
    try:
        return psutil.Process(owner["pid"]).create_time() == owner["started"]
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False
