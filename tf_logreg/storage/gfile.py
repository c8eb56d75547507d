"""TensorFlow's file systems as a store: gs://, ram:// and what else is registered with it."""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

_OURS = ("", "file")  # paths of this machine, which are not read by TensorFlow
_FOR_A_WHILE = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnknownError,
)
_REFUSED = (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError)


def schemes() -> list[str]:
    """The schemes of the addresses that this TensorFlow knows."""
    return [scheme for scheme in tf.io.gfile.get_registered_schemes() if scheme not in _OURS]


class Files:
    """A `stores.Store`."""

    def names(self, address: str) -> list[str]:
        """Names of the files and folders in a folder; [] where there is none."""
        try:
            with _told():
                return [name.rstrip("/") for name in tf.io.gfile.listdir(address)]
        except FileNotFoundError:
            self.stamp(address)  # of a bucket without rights a list only says that there is nothing
            return []

    def stamp(self, address: str) -> list[int] | None:
        """Bytes of a file and the time that the store gives; None where there is none."""
        try:
            with _told():
                found = tf.io.gfile.stat(address)
        except FileNotFoundError:
            return None
        return None if found.is_directory else [found.length, found.mtime_nsec]

    def download(self, address: str, path: str) -> None:
        """Copies a file of the store to the disk, replacing what is there."""
        with _told():
            tf.io.gfile.copy(address, path, overwrite=True)

    def upload(self, path: str, address: str) -> None:
        """Copies a file of the disk to the store, where it appears whole, replacing what is there."""
        with _told():
            if address.startswith("ram://"):  # which writes behind what is there, and wants folders
                tf.io.gfile.makedirs(os.path.dirname(address))
                self.remove(address)
            tf.io.gfile.copy(path, address, overwrite=True)

    def remove(self, address: str) -> None:
        """Deletes a file, if it is there."""
        with contextlib.suppress(FileNotFoundError), _told():
            tf.io.gfile.remove(address)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Raises TensorFlow's errors as those of files."""
    try:
        yield
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(error.message) from None
    except _REFUSED as error:
        raise PermissionError(error.message) from None
    except _FOR_A_WHILE as error:
        raise ConnectionError(error.message) from None
    except tf.errors.OpError as error:
        raise OSError(error.message) from None
