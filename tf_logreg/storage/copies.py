"""Copies of files in a store on this machine's disk, for what can only read a disk.

A file is copied whole. Its copy serves this process until the file changes, and is deleted when the process
ends; those of processes that were killed are deleted by a later one.
"""

import atexit
import concurrent.futures
import contextlib
import functools
import glob
import os
import shutil
import tempfile
import threading
import time

from tf_logreg import ownership
from tf_logreg.storage import remote, stores

_PREFIX = "tf_logreg-copies-"  # of the folder for copies, in the system's folder of temporary files
_LOCK = ".in-use"  # a file in it, which is locked while its process lives
_SECONDS_TO_LOCK = 60  # that a process has for it
_AT_ONCE = 8  # files that are fetched
_stamps: dict[str, list[int]] = {}  # of the files that have a copy, as they were when it was made
_making = threading.Lock()


def fetched(address: str) -> str:
    """The path of a copy of a file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    store, path = stores.of(address), _copy_of(address)
    if (stamp := store.stamp(address)) is None:
        raise FileNotFoundError(f"no such file: {address!r}")
    if _stamps.get(address) != stamp:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = f"{path}.{threading.get_ident()}.part"
        store.download(address, part)
        os.replace(part, path)  # who uses an older copy keeps it
        _stamps[address] = stamp
    return path


def fetched_folder(address: str) -> str:
    """The path of a copy of a folder, with the files that are in it now."""
    names = remote.files_below(address)
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        paths = set(pool.map(lambda name: fetched(f"{address}/{name}"), names))
    for folder, _, files in os.walk(_copy_of(address)):
        for path in {os.path.join(folder, name) for name in files} - paths:
            os.unlink(path)
    return _copy_of(address)


@functools.cache
def _folder_of_copies() -> str:
    """A folder that is deleted when the process ends; those of processes that were killed are deleted now."""
    for old in glob.glob(os.path.join(tempfile.gettempdir(), f"{_PREFIX}*", _LOCK)):
        with contextlib.suppress(OSError), open(old, "r+b", buffering=0) as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > _SECONDS_TO_LOCK and ownership.locked(file):
                shutil.rmtree(os.path.dirname(old), ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    lock = open(os.path.join(folder, _LOCK), "xb", buffering=0)  # noqa: SIM115 (held as long as the process lives)
    ownership.locked(lock)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(lock.close)
    return folder


def _copy_of(address: str) -> str:
    scheme, _, rest = address.partition("://")
    with _making:
        folder = _folder_of_copies()
    return os.path.join(folder, scheme, *rest.strip("/").split("/"))
