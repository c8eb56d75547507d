"""Checkpoints that survive a kill at any moment: written whole by `storage`, and checked when read.

A file is one line, `tf_logreg checkpoint 1 sha256=...`, and an .npz of plain arrays: the weights,
the optimiser's state and the step. The order of rows is a function of (seed, epoch, position), so
the step is all that the data needs; no shuffle buffer is saved.
"""

import dataclasses
import hashlib
import io
import json
import logging
import re

import numpy as np

from tf_logreg import storage
from tf_logreg.devices import workers
from tf_logreg.errors import InputError

log = logging.getLogger(__name__)

_MAGIC = b"tf_logreg checkpoint 1 sha256="


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints of one run.

    Attributes:
        folder: where they are; None for a fit that is not saved.
        fingerprint: what must be the same to resume: the config, the data, the shape, TensorFlow's major
            version.
        every_steps: number of steps between checkpoints; 0 saves only on an interrupt.
        keep: number of newest checkpoints to keep.
        team: the workers of the run, of which only the chief writes and reads; None for one process.
    """

    folder: storage.Folder | None = None
    fingerprint: dict = dataclasses.field(default_factory=dict)
    every_steps: int = 0
    keep: int = 1
    team: workers.Workers | None = None

    def below(self, name: str) -> "Checkpoints":
        """Checkpoints of a part of the run, in the subfolder `name`."""
        return dataclasses.replace(self, folder=self.folder and self.folder.below(name))

    def save(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Writes the state after `step` updates and deletes what is older than the `keep` newest.

        Raises:
            InputError: the disk is full or cannot be written; earlier checkpoints are intact.
            RunError: this run no longer owns the work directory.
        """
        if self.folder is None or (self.team and not self.team.is_chief):
            return
        payload = io.BytesIO()
        about = {"fingerprint": np.array(json.dumps(self.fingerprint)), "step": np.array(step)}
        storage.save_arrays(payload, about | arrays)
        payload = payload.getvalue()
        head = _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
        self.folder.write(f"step-{step:012d}", head + payload)
        for old in self._names()[: -self.keep]:
            self.folder.remove(old)

    def latest(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """Step and arrays of the newest undamaged checkpoint; None when there is none.

        Raises:
            InputError: it was written with another config, data, shape or TensorFlow version.
        """
        if self.folder is None:
            return None
        return self.team.from_chief(self._latest) if self.team else self._latest()

    def _latest(self) -> tuple[int, dict[str, np.ndarray]] | None:
        for name in reversed(self._names()):
            path = self.folder.where(name)
            try:
                arrays = _arrays(self.folder.read(name))
                found, step = json.loads(str(arrays.pop("fingerprint"))), int(arrays.pop("step"))
            except (ValueError, KeyError, TypeError) as error:  # an InputError is a ValueError
                log.warning("Passing over a damaged checkpoint, %s: %s.", path, error)
                continue
            for key, expected in self.fingerprint.items():
                if found.get(key) != expected:
                    raise InputError(
                        f"--workdir: {path!r} is a checkpoint of another {key}: expected {expected!r}. "
                        f"Received: {found.get(key)!r}. Give --overwrite to start again."
                    )
            return step, arrays
        return None

    def _names(self) -> list[str]:
        """Names of the finished checkpoints, oldest first."""
        return [name for name in self.folder.names() if re.fullmatch(r"step-\d{12}", name)]


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint file; ValueError when any byte has changed."""
    head, _, payload = data.partition(b"\n")
    if not head.startswith(_MAGIC):
        raise ValueError("it does not begin as one")
    if head[len(_MAGIC) :].decode("ascii", "replace") != hashlib.sha256(payload).hexdigest():
        raise ValueError("its checksum is wrong")
    return storage.arrays(io.BytesIO(payload))
