"""Rows of numbers written one after another into a file, and read by mapping it into memory."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.storage import disk

_LEFT = 2**28  # bytes of a disk that stay free


class RowFile:
    """A file of numbers without a header: whoever maps it knows their dtype and shape.

    It is written by `write`, as a full disk would kill a process that writes into a mapped file.
    """

    def __init__(self, file, path: str, field: str):
        """Goes on at the end of an open file. `path` and `field`, which named it, are for messages."""
        self._file, self.path, self._field = file, path, field

    def append(self, rows: np.ndarray) -> None:
        """Writes rows [B, ...] behind the others.

        Raises:
            InputError: the disk is full, or fails.
        """
        data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
        with self._failing():
            if shutil.disk_usage(os.path.dirname(self.path)).free < data.nbytes + _LEFT:
                raise InputError(
                    f"{self._field}: expected room for more rows than {self._file.tell() / 2**30:.1f} GiB. "
                    f"Received: {self.path!r}, on a disk that is full."
                )
            self._file.write(data)

    def sync(self) -> None:
        """Has all rows on the disk, so that they outlast a fall of the machine."""
        with self._failing():
            self._file.flush()
            disk.sync(self._file)

    def mapped(self, dtype: np.dtype, row_shape: tuple[int, ...]) -> np.ndarray:
        """All rows [n, *row_shape], read from the disk where they are used, also when the file is closed."""
        with self._failing():
            self._file.flush()
        return mapped(self._file, dtype, row_shape)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise InputError(f"{self._field}: cannot write {self.path!r}: {why}.") from None


@contextlib.contextmanager
def appended(path: str, size: int, field: str) -> Iterator[RowFile]:
    """A file that is gone on with behind its first `size` bytes; what came behind them is dropped.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with open(path, "r+b" if size else "w+b") as file:
            file.truncate(size)
            file.seek(size)
            yield RowFile(file, path, field)
    except OSError as error:
        raise InputError(f"{field}: cannot write {path!r}: {error.strerror or error}.") from None


def temporary(folder: str, field: str) -> RowFile:
    """A file that is gone as soon as nothing uses it, also when the process is killed.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lasts as long as what is mapped)
    except OSError as error:
        raise InputError(f"{field}: cannot write {folder!r}: {error.strerror or error}.") from None
    return RowFile(file, os.path.join(folder, "rows"), field)


def size(path: str) -> int:
    """Bytes of a file; 0 if there is none."""
    return os.path.getsize(path) if os.path.isfile(path) else 0


def mapped(file, dtype: np.dtype, row_shape: tuple[int, ...]) -> np.ndarray:
    """The numbers of a file as rows [n, *row_shape]; `file` is open, or a path.

    They may be written to, which does not reach the file: so TensorFlow can share them.
    """
    found = np.memmap(file, np.uint8, mode="c")
    return np.asarray(found).view(dtype).reshape(-1, *row_shape)
