"""A run's folder: reads, writes, lists and removes its files by name."""

import contextlib
import dataclasses
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator

import numpy as np

from tf_logreg import ownership, signals
from tf_logreg.errors import InputError
from tf_logreg.storage import disk, npz

_ASIDE = ".writing-"


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of a run's files. Names are relative to it.

    Attributes:
        path: path of the folder.
        field: the flag or config field that named it, for messages.
        owner: checked before each write to still own the work directory; None where nobody else writes.
    """

    path: str
    field: str = "--workdir"
    owner: ownership.Owner | None = None

    def below(self, name: str) -> "Folder":
        """The folder `name` in this one; it need not exist."""
        return dataclasses.replace(self, path=self.where(name))

    def where(self, name: str) -> str:
        """The path of `name`."""
        return os.path.join(self.path, name)

    def check_owner(self) -> None:
        """Raises a RunError if the directory was deleted or taken over by another process."""
        if self.owner:
            self.owner.check()

    def names(self) -> list[str]:
        """Names in the folder, sorted; none if the folder does not exist."""
        try:
            return sorted(os.listdir(self.path))
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise InputError(
                f"{self.field}: expected a directory. Received: {self.path!r}, a file."
            ) from None
        except OSError as error:
            raise InputError(f"{self.field}: cannot read {self.path!r}: {error.strerror or error}.") from None

    def contents(self) -> list[str]:
        """Names in the folder, except the owner file and leftovers of killed runs."""
        return [name for name in self.names() if name != ownership.OWNER and not name.startswith(_ASIDE)]

    def holds(self, name: str) -> bool:
        """Whether the name exists, even as a broken link."""
        return os.path.lexists(self.where(name))

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[io.BufferedReader]:
        """Opens a file for reading.

        Raises:
            InputError: it is missing, is a folder or cannot be read.
        """
        try:
            with open(self.where(name), "rb") as file:
                yield file
        except FileNotFoundError:
            raise InputError(
                f"{self.field}: expected a finished run. Received: {self.path!r}, without {name}."
            ) from None
        except OSError as error:
            raise self._damaged(name, error.strerror or str(error)) from None

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
            disk.sync_file(aside)
            self.check_owner()
            disk.replace(aside, self.where(name))
            disk.sync_folder(self.path)

    def publish(self, name: str, save: Callable[[str], None], marker: str, *, within: bool = False) -> None:
        """Has `save(path)` write a temporary folder, then moves it into place.

        Where folders cannot be renamed (gcsfuse: EMFILE) its files are moved one by one.

        Args:
            name: of the folder.
            save: writes it.
            marker: the file without which the folder counts as absent; it is deleted first and moved last.
            within: keep other files in the folder.
        """
        with self._writing(name) as aside:
            save(aside)
            for folder, _, files in os.walk(aside):
                for file in files:
                    disk.sync_file(os.path.join(folder, file))
            self.check_owner()
            target = self.where(name)
            if within or not disk.renamed(aside, target):
                disk.remove(os.path.join(target, marker))
                if not within:
                    disk.remove(target)
                disk.move_files(aside, target, marker)
            disk.sync_folder(self.path)

    def remove(self, name: str) -> None:
        """Deletes a file or a folder, if it exists. A link is deleted, its target is kept."""
        self.check_owner()
        try:
            disk.remove(self.where(name))
        except OSError as error:
            raise InputError(
                f"{self.field}: cannot delete {self.where(name)!r}: {error.strerror or error}."
            ) from None

    def sweep(self, *, deep: bool = False) -> None:
        """Deletes temporary files of killed runs in this folder and, if `deep`, in all folders below it."""
        for name in self.names():
            if name.startswith(_ASIDE):
                self.remove(name)
            elif deep and os.path.isdir(self.where(name)) and not os.path.islink(self.where(name)):
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
        with ownership.held(self.path, self.field, wait=wait) as owner:
            yield dataclasses.replace(self, owner=owner)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[str]:
        """A path to write `name` at, in a temporary folder that is deleted afterwards."""
        self.check_owner()
        try:
            if self.owner is None or self.path != self.owner.folder:
                os.makedirs(self.path, exist_ok=True)
            # A signal waits until this is done, so that no temporary folder is left.
            with (
                signals.noted(),
                tempfile.TemporaryDirectory(
                    prefix=_ASIDE, dir=self.path, ignore_cleanup_errors=True
                ) as aside,
            ):
                yield os.path.join(aside, os.path.basename(name))
        except OSError as error:
            self.check_owner()  # a deleted directory is not an error of the disk
            why = error.strerror or str(error)
            raise InputError(f"{self.field}: cannot write {self.where(name)!r}: {why}.") from None

    def _damaged(self, name: str, why: str) -> InputError:
        return InputError(f"{self.field}: cannot use {self.where(name)!r}: {why}.")
