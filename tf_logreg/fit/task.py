"""`Task`: the inputs that every way to fit shares."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.fit.monitor import Monitor
from tf_logreg.model.head import Head


@dataclasses.dataclass(frozen=True)
class Task:
    """What is fitted, to which rows, where, and who watches.

    Attributes:
        settings: a config, whose solver.name is a method or 'minibatch', not 'auto'.
        dataset: its training rows are fitted. With a prior its source has the prior's logits as offsets, and
            solvers and paths find what is to be added to the prior's coefficients.
        devices: where passes over the rows are made.
        monitor: saves and restores checkpoints, records progress, and may interrupt the fit.
        head: output of the model.
        class_weight: [C], or [C, C] for one-vs-rest with 'balanced'; None for ones.
    """

    settings: ConfigDict
    dataset: Dataset
    devices: Devices
    monitor: Monitor
    head: Head
    class_weight: np.ndarray | None

    @property
    def prior(self) -> np.ndarray | None:
        """Kernel [p, m] towards which l2 pulls, in the dataset's units; its logits are offsets of rows."""
        dataset = self.dataset
        return None if dataset.prior is None else dataset.prior.in_units(dataset.exponent)

    @property
    def has_offset(self) -> bool:
        """Whether rows have offsets."""
        return bool(self.settings.data.offset) or self.dataset.prior is not None
