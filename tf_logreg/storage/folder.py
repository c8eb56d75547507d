"""A run's folder: reads, writes, lists and removes its files by name."""

import contextlib
import dataclasses
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from tf_logreg import ownership, signals
from tf_logreg.errors import InputError, brief
from tf_logreg.storage import disk, npz, remote, stores


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of a run's files, on this machine's disk or in a store. Names are relative to it.

    Attributes:
        path: path of the folder, or its address in a store.
        field: the flag or config field that named it, for messages.
        owner: checked before each write to still own the work directory; None where nobody else writes.
    """

    path: str
    field: str = "--workdir"
    owner: ownership.Owner | None = None

    @property
    def _files(self) -> ModuleType:
        """The module that reads and writes the files, `disk` or `remote`; both have the same functions."""
        return remote if stores.is_address(self.path) else disk

    def below(self, name: str) -> "Folder":
        """The folder `name` in this one; it need not exist."""
        return dataclasses.replace(self, path=self.where(name))

    def where(self, name: str) -> str:
        """The path of `name`."""
        return stores.join(self.path, name)

    def check_owner(self) -> None:
        """Raises a RunError if the directory was deleted or taken over by another process."""
        if self.owner:
            self.owner.check()

    def names(self) -> list[str]:
        """Names in the folder, sorted; none if the folder does not exist."""
        try:
            return self._files.names(self.path)
        except NotADirectoryError:
            raise InputError(
                f"{self.field}: expected a directory. Received: {self.path!r}, a file."
            ) from None
        except OSError as error:
            raise InputError(f"{self.field}: cannot read {self.path!r}: {_why(error)}.") from None

    def contents(self) -> list[str]:
        """Names in the folder, except the owner file and leftovers of killed runs."""
        return [name for name in self.names() if name != ownership.OWNER and not name.startswith(disk.ASIDE)]

    def holds(self, name: str) -> bool:
        """Whether the name exists, even as a broken link."""
        try:
            return self._files.holds(self.where(name))
        except OSError as error:
            raise self._damaged(name, _why(error)) from None

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[io.BufferedReader]:
        """Opens a file for reading.

        Raises:
            InputError: it is missing, is a folder or cannot be read.
        """
        try:
            with self._files.opened(self.where(name)) as file:
                yield file
        except FileNotFoundError:
            raise InputError(
                f"{self.field}: expected a finished run. Received: {self.path!r}, without {name}."
            ) from None
        except OSError as error:
            raise self._damaged(name, _why(error)) from None

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        with self.opened(name) as file:
            return file.read()

    def read_json(self, name: str) -> dict:
        """The object of a JSON file.

        Raises:
            InputError: the file is missing, is not JSON, or is not an object.
        """

        def refuse(name: str):
            raise ValueError(f"{name} is not JSON")

        try:
            found = json.loads(self.read(name).decode(), parse_constant=refuse)
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise self._damaged(name, f"it is not JSON ({error})") from None
        if not isinstance(found, dict):
            raise self._damaged(name, f"expected a JSON object, not {type(found).__name__}")
        return found

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """All arrays of an .npz file; pickles are refused.

        Raises:
            InputError: the file is missing, or is not an .npz of plain arrays.
        """
        with self.opened(name) as file:
            try:
                return npz.arrays(file)
            except ValueError as error:
                raise self._damaged(name, str(error)) from None

    def check_file(self, name: str) -> None:
        """Checks that a file exists and is not empty.

        Raises:
            InputError: it is missing or empty.
        """
        with self.opened(name) as file:
            if not file.read(1):
                raise self._damaged(name, "it is empty")

    def check_archive(self, name: str) -> None:
        """Checks that a file is a complete zip archive, by the directory at its end.

        Raises:
            InputError: it is missing or incomplete.
        """
        with self.opened(name) as file:
            if not zipfile.is_zipfile(file):
                raise self._damaged(name, "it is cut short or something else")

    def write(self, name: str, data: bytes) -> None:
        """Writes a file atomically.

        Raises:
            InputError: the file cannot be written, as on a full disk; the old file is kept.
            RunError: this run no longer owns the directory.
        """

        def save(path: str) -> None:
            with open(path, "wb") as file:
                file.write(data)

        self.write_with(name, save)

    def write_text(self, name: str, text: str) -> None:
        """Writes a UTF-8 text file atomically."""
        self.write(name, text.encode())

    def write_json(self, name: str, value: dict) -> None:
        """Writes a JSON file atomically; NaN and infinity are refused, as they are not JSON."""
        self.write_text(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Writes an .npz file atomically, without pickles."""

        def save(path: str) -> None:
            with open(path, "wb") as file:
                npz.save_arrays(file, arrays)

        self.write_with(name, save)

    def write_with(self, name: str, save: Callable[[str], None]) -> None:
        """Has `save(path)` write a temporary file, then moves it into place."""
        with self._writing(name) as aside:
            save(aside)
            self._files.settle(aside)
            self.check_owner()
            self._files.put(aside, self.where(name))

    def put(self, name: str, path: str) -> None:
        """Writes a file atomically, as a copy of another one."""
        self.write_with(name, lambda aside: shutil.copyfile(path, aside))

    def publish(self, name: str, save: Callable[[str], None], marker: str, *, within: bool = False) -> None:
        """Has `save(path)` write a temporary folder, then moves it into place.

        Where folders cannot be renamed its files are moved, or uploaded to a store, one by one.

        Args:
            name: of the folder.
            save: writes it.
            marker: the file without which the folder counts as absent; it is deleted first and moved last.
            within: keep other files in the folder.
        """
        with self._writing(name) as aside:
            save(aside)
            self._files.settle(aside)
            self.check_owner()
            self._files.publish(aside, self.where(name), marker, within=within)

    def remove(self, name: str) -> None:
        """Deletes a file or a folder, if it exists. A link is deleted, its target is kept."""
        self.check_owner()
        try:
            self._files.remove(self.where(name))
        except OSError as error:
            raise InputError(f"{self.field}: cannot delete {self.where(name)!r}: {_why(error)}.") from None

    def sweep(self, *, deep: bool = False) -> None:
        """Deletes temporary files of killed runs in this folder and, if `deep`, in all folders below it."""
        if stores.is_address(self.path):  # nothing is written aside in a store
            return
        for name in self.names():
            if name.startswith(disk.ASIDE):
                self.remove(name)
            elif deep and self._files.is_folder(self.where(name)):
                self.below(name).sweep(deep=True)

    @contextlib.contextmanager
    def owned(self, *, wait: float = 0.0) -> Iterator["Folder"]:
        """Creates the folder if needed, and owns it until the block ends (`ownership`).

        Args:
            wait: seconds to wait for another owner to end.

        Yields:
            The folder, which checks before each write that this process still owns it.

        Raises:
            InputError: another process owns it, or it cannot be written.
        """
        file = self._files.owner_file(self.path)
        with ownership.held(self.path, self.field, wait=wait, file=file) as owner:
            yield dataclasses.replace(self, owner=owner)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[str]:
        """A path to write `name` at, in a temporary folder that is deleted afterwards."""
        self.check_owner()
        try:
            is_new = self.owner is None or self.path != self.owner.folder
            # A signal waits until this is done, so that no temporary folder is left.
            with signals.noted(), self._files.aside(self.where(name), makes_folder=is_new) as aside:
                yield aside
        except OSError as error:
            self.check_owner()  # a deleted directory is not an error of the disk
            raise InputError(f"{self.field}: cannot write {self.where(name)!r}: {_why(error)}.") from None

    def _damaged(self, name: str, why: str) -> InputError:
        return InputError(f"{self.field}: cannot use {self.where(name)!r}: {why}.")


def _why(error: OSError) -> str:
    """What the system or the store says."""
    return error.strerror or brief(error)
