"""The files of a store by their addresses: read, listed, removed, written aside and uploaded.

A folder is written on this machine's disk and uploaded file by file, its marker last.
"""

import contextlib
import dataclasses
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from tf_logreg import ownership
from tf_logreg.storage import stores

log = logging.getLogger(__name__)

_PREFIX = "tf_logreg-"  # of folders for temporary files


def names(address: str) -> list[str]:
    """Names in a folder, sorted; none if there is none."""
    return sorted(stores.of(address).names(address))


def holds(address: str) -> bool:
    """Whether there is such a file or folder."""
    store = stores.of(address)
    return store.stamp(address) is not None or bool(store.names(address))


def is_folder(address: str) -> bool:
    """Whether there are files below this address."""
    return bool(stores.of(address).names(address))


@contextlib.contextmanager
def opened(address: str) -> Iterator[BinaryIO]:
    """Opens a file for reading; its bytes are in memory."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        path = os.path.join(folder, "file")
        stores.of(address).download(address, path)
        with open(path, "rb") as file:
            data = file.read()
    yield io.BytesIO(data)


def write(address: str, data: bytes) -> None:
    """Writes a file."""
    with aside(address) as path:
        with open(path, "wb") as file:
            file.write(data)
        put(path, address)


@contextlib.contextmanager
def aside(address: str, *, makes_folder: bool = True) -> Iterator[str]:
    """A path on this machine's disk to write a file or folder at, before it is uploaded."""
    del makes_folder  # a store has none
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
        yield os.path.join(folder, os.path.basename(address))


def settle(_: str) -> None:
    """A file that is only uploaded need not be on the disk."""


def put(path: str, address: str) -> None:
    """Uploads a file."""
    stores.of(address).upload(path, address)


def publish(path: str, address: str, marker: str, *, within: bool) -> None:
    """Uploads a folder, the marker last, and deletes what else was there.

    Args:
        path: the folder.
        address: where it goes.
        marker: the file without which the folder counts as absent.
        within: keep other files.
    """
    store = stores.of(address)
    store.remove(f"{address}/{marker}")
    new = [
        os.path.relpath(os.path.join(folder, file), path).replace(os.sep, "/")
        for folder, _, files in os.walk(path)
        for file in files
    ]
    if not within:
        for old in set(files_below(address)) - set(new):
            store.remove(f"{address}/{old}")
    for name in sorted(new, key=lambda name: name == marker):
        store.upload(os.path.join(path, name), f"{address}/{name}")


def remove(address: str) -> None:
    """Deletes a file, or a folder with all that is in it, if it exists."""
    store = stores.of(address)
    for name in files_below(address):
        store.remove(f"{address}/{name}")
    store.remove(address)


def files_below(address: str, enters: Callable[[str], bool] = lambda name: True) -> list[str]:
    """The files below a folder, by their names in it, sorted; `enters` as in `given_files.files_below`."""
    store, found, folders = stores.of(address), [], [""]
    while folders:
        folder = folders.pop()
        for name in store.names(f"{address}/{folder}".rstrip("/")):
            whole = f"{folder}{name}"
            if store.stamp(f"{address}/{whole}") is not None:
                found.append(whole)
            elif enters(name):
                folders.append(f"{whole}/")
    return sorted(found)


@dataclasses.dataclass(frozen=True)
class StoredOwnerFile:
    """An `ownership.OwnerFile` in a store, which has no locks.

    Of two processes that take it at the same moment the later one has it: the other finds that at once, or
    before its next write.
    """

    address: str

    def read(self) -> dict:
        """Its contents; {} when it is missing, empty or not in our format."""
        try:
            with opened(self.address) as file:
                return ownership.of_bytes(file.read())
        except FileNotFoundError:
            return {}

    def take(self, token: str) -> contextlib.AbstractContextManager | None:
        """Writes the token; None if another process of this machine is the owner."""
        before = self.read()
        if ownership.is_alive(before):
            return None
        if before:
            log.warning("%s: a store has no locks. Taking over from %s.", self.address, ownership.who(before))
        write(self.address, ownership.to_bytes(token))
        return contextlib.nullcontext() if self.read().get("token") == token else None

    def delete(self) -> None:
        """Deletes the file."""
        stores.of(self.address).remove(self.address)


def owner_file(folder: str) -> StoredOwnerFile:
    """The file that names the owner of a folder."""
    return StoredOwnerFile(f"{folder}/{ownership.OWNER}")
