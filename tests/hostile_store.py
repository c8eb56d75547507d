"""A store that is worse than real ones: once in twenty calls it fails, before or after doing what was asked."""

import os
import random
import shutil
import signal
import threading
import urllib.parse
from pathlib import Path

from tf_logreg import storage


class HostileStore:
    """A `storage.Store` whose files are in a flat folder of this machine's disk, so that it outlives a process.

    It has no folders, renames nothing and gives no times.

    Attributes:
        failures: number of calls that failed so far.
        uploads: addresses, in the order in which they were written.
        dies_at: number of the upload at which this process is killed, once it is done; 0 for none.
    """

    def __init__(self, root, *, seed=0, share=0.05, dies_at=0):
        self._root, self._random, self._share = Path(root), random.Random(seed), share
        self._lock = threading.Lock()
        self.failures, self.uploads, self.dies_at = 0, [], dies_at

    def names(self, address):
        """Names of the files and folders in a folder."""
        start = f"{address.rstrip('/')}/"
        every = (urllib.parse.unquote(path.name) for path in self._root.iterdir())
        found = {one[len(start) :].split("/")[0] for one in every if one.startswith(start)}
        return self._given(sorted(found))

    def stamp(self, address):
        """Bytes of a file, and no time."""
        path = self._path(address)
        return self._given([path.stat().st_size] if path.exists() else None)

    def download(self, address, path):
        """Copies a file to the disk."""
        self._given(None)
        shutil.copyfile(self._path(address), path)
        self._given(None)

    def upload(self, path, address):
        """Copies a file to the store, where it appears whole."""
        self._given(None)
        whole = self._path(address)
        part = whole.with_name("part")
        shutil.copyfile(path, part)
        os.replace(part, whole)
        self.uploads.append(address)
        if len(self.uploads) == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._given(None)

    def remove(self, address):
        """Deletes a file."""
        self._given(None)
        self._path(address).unlink(missing_ok=True)
        self._given(None)

    def _path(self, address):
        return self._root / urllib.parse.quote(address, safe="")

    def _given(self, value):
        """The value, or a failure."""
        with self._lock:
            fails = self._random.random() < self._share
            self.failures += fails
        if fails:
            raise ConnectionResetError("the store is busy")
        return value


def registered(root, scheme="mem", **options):
    """A hostile store that serves scheme://; calls that fail are made again at once."""
    Path(root).mkdir(exist_ok=True)
    store = HostileStore(root, **options)
    storage.register(scheme, store, pauses=(0.0,) * 7)
    return store
