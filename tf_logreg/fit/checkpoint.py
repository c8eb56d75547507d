"""Checkpoints that survive a kill at any moment: written aside, synced, renamed, and checked when read.

A file is one line, `tf_logreg checkpoint 1 sha256=...`, and an .npz of plain arrays: the weights,
the optimiser's state and the step. The order of rows is a function of (seed, epoch, position), so
the step is all that the data needs; no shuffle buffer is saved.
"""

import dataclasses
import hashlib
import io
import json
import logging
import os
from pathlib import Path

import numpy as np

from tf_logreg import workers
from tf_logreg.errors import InputError

log = logging.getLogger(__name__)

_MAGIC = b"tf_logreg checkpoint 1 sha256="


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints of one run.

    Attributes:
        folder: where they are.
        fingerprint: what must be the same to resume: the config, the shape, TensorFlow's major version.
        every_steps: save when this many steps have passed since the last; 0 only when interrupted.
        keep: how many of the newest stay.
        team: the workers of the run, whose chief alone writes and reads; None for one process.
    """

    folder: str
    fingerprint: dict
    every_steps: int
    keep: int
    team: workers.Workers | None = None

    def save(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Writes the state after `step` updates and deletes what is older than the `keep` newest.

        Raises:
            InputError: the disk is full or cannot be written; earlier checkpoints are intact.
        """
        if self.team and not self.team.is_chief:
            return
        payload = io.BytesIO()
        np.savez(payload, allow_pickle=False, fingerprint=json.dumps(self.fingerprint), step=step, **arrays)
        payload = payload.getvalue()
        target = Path(self.folder) / f"step-{step:012d}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_suffix(".writing")
            with aside.open("wb") as file:
                file.write(_MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, target)
            _sync_folder(target.parent)
        except OSError as error:
            raise InputError(f"--workdir: cannot write a checkpoint to {self.folder!r}: {error}.") from None
        for old in self._files()[: -self.keep]:
            old.unlink()

    def latest(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """The newest checkpoint that is whole: its step and arrays; None when there is none.

        Raises:
            InputError: it is of another config, shape or TensorFlow.
        """
        return self.team.from_chief(self._latest) if self.team else self._latest()

    def _latest(self) -> tuple[int, dict[str, np.ndarray]] | None:
        for path in reversed(self._files()):
            try:
                arrays = _read(path)
            except ValueError as error:
                log.warning("Passing over a damaged checkpoint, %s: %s.", path, error)
                continue
            found = json.loads(str(arrays.pop("fingerprint")))
            for key, expected in self.fingerprint.items():
                if found.get(key) != expected:
                    raise InputError(
                        f"--workdir: {str(path)!r} is a checkpoint of another {key}: expected {expected!r}. "
                        f"Received: {found.get(key)!r}. Give --overwrite to start again."
                    )
            return int(arrays.pop("step")), arrays
        return None

    def _files(self) -> list[Path]:
        """Finished checkpoints, oldest first."""
        return sorted(path for path in Path(self.folder).glob("step-*") if not path.suffix)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint file; ValueError when a byte is not what was written."""
    head, _, payload = path.read_bytes().partition(b"\n")
    if not head.startswith(_MAGIC):
        raise ValueError("it does not begin as one")
    if head[len(_MAGIC) :].decode("ascii", "replace") != hashlib.sha256(payload).hexdigest():
        raise ValueError("its checksum is wrong")
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        return dict(arrays)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
