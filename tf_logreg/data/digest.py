"""Digests of the data's files, so that a run knows whether they changed.

Two files with the same bytes are equal, whatever their times. Size and times only save reading a file again:
if they have not changed, the bytes are assumed unchanged. The times of a store mean nothing, so its files are
read again by each process.
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping

import numpy as np

from tf_logreg import storage
from tf_logreg.errors import InputError

_BLOCK_BYTES = 2**24


def digests(files: Mapping[str, str], known: Mapping[str, dict]) -> dict[str, dict]:
    """Digests of files.

    Args:
        files: paths by the names under which they are recorded.
        known: result of an earlier call; its names may differ.

    Returns:
        name -> {'sha256': hexadecimal, 'stamp': [bytes, and nanoseconds of the last change of the contents
        and of the file]}; paths that are not files are left out.

    Raises:
        InputError: a file cannot be read.
    """
    found = {}
    for name, path in files.items():
        stamp = storage.stamp(path)
        if stamp is None:
            continue
        before = known.get(name, {})
        if before.get("stamp") == stamp and "sha256" in before and not storage.is_address(path):
            sha256 = before["sha256"]
        else:
            sha256 = _sha256(path if storage.is_address(path) else os.path.abspath(path), *stamp)
        found[name] = {"sha256": sha256, "stamp": stamp}
    return found


def of_arrays(arrays: Mapping[str, np.ndarray]) -> dict:
    """Identity of arrays [n, ...], as `summary` takes it: dtype, shape and every number."""
    found = {}
    for name, array in arrays.items():
        digest = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
        size = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
        for start in range(0, len(array), size):
            block = np.ascontiguousarray(array[start : start + size])
            digest.update(block.reshape(-1).view(np.uint8))
        found[name] = {"sha256": digest.hexdigest()}
    return {"version": 1, "files": found}


def summary(data: Mapping) -> str:
    """One digest of a source's version and of all its files' names and bytes."""
    files = sorted((name, file["sha256"]) for name, file in data["files"].items())
    return hashlib.sha256(json.dumps([data["version"], files]).encode()).hexdigest()


@functools.lru_cache(maxsize=2**14)
def _sha256(path: str, *_) -> str:
    """The digest of a file, which is read once while its stamp stays as it is."""
    try:
        with open(storage.on_disk(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"data: cannot read {path!r}: {error.strerror or error}.") from None
