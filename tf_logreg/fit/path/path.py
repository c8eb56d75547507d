"""`Path`: what fitting many strengths of a penalty gives."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class Path:
    """N penalties x F folds, and which penalty was chosen.

    Attributes:
        penalty: 'l1', 'l2' or 'elastic_net'.
        values: [N], strengths on all training rows, strongest first; each once for every l1_ratio.
        C: [N], 1 / (strength * the sum of all training weights).
        l1_ratio: [N], the share of a strength that is l1.
        l1, l2: [N, F], the penalties of each fit: by path.C a fold's own sum of weights divides them.
        metric: one of `strengths.METRICS`. scores: [N, F], of the rows held out; log losses in nats.
        choice: index of the chosen penalty.
        kernel, bias: [N, F, p, m] and [N, F, m], in the dataset's units, without the prior's correction.
        status: [N, F] strings. certified_gap, objective: [N, F] nats, NaN where there is none.
        nonzeros: [N, F], number of non-zero coefficients. passes: [N, F] reads of the rows.
        steps: [N, F], of the method. iterations: its steps for all fits together.
        note: message about the choice, '' for none.
    """

    penalty: str
    values: np.ndarray
    C: np.ndarray
    l1_ratio: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    metric: str
    scores: np.ndarray
    choice: int
    kernel: np.ndarray
    bias: np.ndarray
    status: np.ndarray
    certified_gap: np.ndarray
    objective: np.ndarray
    nonzeros: np.ndarray
    passes: np.ndarray
    steps: np.ndarray
    iterations: int
    note: str

    def chosen(self, config: ConfigDict) -> ConfigDict:
        """The config of the single fit with the chosen penalty."""
        config = config.copy_and_resolve_references()
        value, ratio = self.values[self.choice].item(), self.l1_ratio[self.choice].item()
        config.l1, config.l2 = config.l1 + ratio * value, config.l2 + (1 - ratio) * value
        return config

    @property
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [p, m] and bias [m] from which the single fit starts: the mean over folds."""
        return self.kernel[self.choice].mean(axis=0), self.bias[self.choice].mean(axis=0)

    def in_raw_units(self, exponent: np.ndarray) -> "Path":
        """The same path, whose columns were in units of 2^exponent, [p]."""
        return dataclasses.replace(self, kernel=np.ldexp(self.kernel, -exponent[:, None]))
