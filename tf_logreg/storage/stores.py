"""Stores of files that have an address, as gs://bucket/run: what one must do, and which serves an address.

A store keeps files by their whole names. It has no folders of its own, renames nothing, and its times mean
nothing. A file appears when it is written whole. Any call may fail now and then, and is made again.
"""

import dataclasses
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any, Protocol

from tf_logreg.errors import InputError, brief

log = logging.getLogger(__name__)

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before a call is made again


class Store(Protocol):
    """The files of a store; arguments are addresses, and paths of this machine's disk.

    A call that is made twice does what it does once. Errors are OSErrors: a FileNotFoundError for a file that
    is not there, a ConnectionError or TimeoutError for what may go well the next time.
    """

    def names(self, address: str) -> list[str]:
        """Names of the files and folders in a folder; [] where there is none."""

    def stamp(self, address: str) -> list[int] | None:
        """Bytes of a file, and what else tells its versions apart, if anything; None where there is none."""

    def download(self, address: str, path: str) -> None:
        """Copies a file of the store to the disk, replacing what is there."""

    def upload(self, path: str, address: str) -> None:
        """Copies a file of the disk to the store, where it appears whole, replacing what is there."""

    def remove(self, address: str) -> None:
        """Deletes a file, if it is there."""


@dataclasses.dataclass(frozen=True)
class Patient:
    """A store whose calls are made again when they fail for a while.

    Attributes:
        store: the store.
        pauses: seconds before each further try.
    """

    store: Store
    pauses: tuple[float, ...] = _PAUSES

    def names(self, address: str) -> list[str]:
        """As the store's."""
        return self._patiently(self.store.names, address)

    def stamp(self, address: str) -> list[int] | None:
        """As the store's."""
        return self._patiently(self.store.stamp, address)

    def download(self, address: str, path: str) -> None:
        """As the store's."""
        self._patiently(self.store.download, address, path)

    def upload(self, path: str, address: str) -> None:
        """As the store's."""
        self._patiently(self.store.upload, path, address)

    def remove(self, address: str) -> None:
        """As the store's."""
        self._patiently(self.store.remove, address)

    def _patiently(self, call: Callable, *arguments: str) -> Any:
        for pause in self.pauses:
            try:
                return call(*arguments)
            except (ConnectionError, TimeoutError) as error:
                address = next(filter(is_address, arguments))
                log.info("%s: %s. Trying again in %g s.", address, brief(error), pause)
                time.sleep(pause)
        return call(*arguments)


_stores: dict[str, Patient] = {}


def register(scheme: str, store: Store, pauses: tuple[float, ...] = _PAUSES) -> None:
    """Has a store serve the addresses that begin with `scheme`://."""
    _stores[scheme] = Patient(store, pauses)


def is_address(path: str) -> bool:
    """Whether a path is the address of a store, rather than a path of this machine."""
    return bool(_ADDRESS.match(str(path)))


def join(folder: str, name: str) -> str:
    """The path or address of a name in a folder."""
    return f"{folder}/{name}" if is_address(folder) else os.path.join(folder, name)


def check(address: str, field: str) -> None:
    """Checks that a store serves an address; it need not answer.

    Args:
        address: the address.
        field: the flag or config field it came from, for messages.

    Raises:
        InputError: no store serves such addresses, or it names no bucket.
    """
    scheme, _, rest = address.partition("://")
    if scheme not in _stores:
        from tf_logreg.storage import gfile  # imports TensorFlow

        known = sorted({*gfile.schemes(), *_stores})
        if scheme not in known:
            raise InputError(
                f"{field}: expected a path, or an address of {', '.join(f'{one}://' for one in known)}. "
                f"Received: {address!r}. Mount what this TensorFlow does not know, and give the folder."
            )
        register(scheme, gfile.Files())
    if not rest.strip("/"):
        raise InputError(f"{field}: expected a bucket, {scheme}://BUCKET/PATH. Received: {address!r}.")


def of(address: str) -> Patient:
    """The store of an address."""
    check(address, "path")
    return _stores[address.partition("://")[0]]
