"""`Path`: what fitting many strengths of a penalty gives."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class Path:
    """N strengths x F folds, and which strength was chosen.

    Attributes:
        penalty: 'l1' or 'l2'.
        values: [N], strongest first.
        scores: [N, F] held-out log loss, nats. choice: index of the chosen strength.
        kernel, bias: [N, F, p, m] and [N, F, m], in the dataset's units, without the prior's correction.
        status: [N, F] strings. certified_gap, objective: [N, F] nats, NaN where there is none.
        nonzeros: [N, F], number of non-zero coefficients. passes: [N, F] reads of the rows.
        iterations: steps of the method. note: message about the choice, '' for none.
    """

    penalty: str
    values: np.ndarray
    scores: np.ndarray
    choice: int
    kernel: np.ndarray
    bias: np.ndarray
    status: np.ndarray
    certified_gap: np.ndarray
    objective: np.ndarray
    nonzeros: np.ndarray
    passes: np.ndarray
    iterations: int
    note: str

    def chosen(self, config: ConfigDict) -> ConfigDict:
        """The config of the single fit at the chosen strength."""
        config = config.copy_and_resolve_references()
        config[self.penalty] = float(self.values[self.choice])
        return config

    @property
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [p, m] and bias [m] from which the single fit starts: the mean over folds."""
        return self.kernel[self.choice].mean(axis=0), self.bias[self.choice].mean(axis=0)

    def in_raw_units(self, exponent: np.ndarray) -> "Path":
        """The same path, whose columns were in units of 2^exponent, [p]."""
        return dataclasses.replace(self, kernel=np.ldexp(self.kernel, -exponent[:, None]))
