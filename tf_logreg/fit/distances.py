"""How far a fitted model is at most from the optimum: each coefficient, and the classes that it names."""

import dataclasses

import numpy as np
import scipy.sparse

from tf_logreg.data import host_rows, moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.exact import distance
from tf_logreg.exact.distance import Distance
from tf_logreg.fit.full_batch import optimum
from tf_logreg.fit.task import Task
from tf_logreg.model.model import Model

_EPS = np.finfo(np.float64).eps
_ROUNDING = 4  # units of the last digit, of what is folded out and of a logit


@dataclasses.dataclass(frozen=True)
class Distances:
    """Of the problems of one model.

    Attributes:
        found: one, or one a class of one against the rest.
        model: in the units of the dataset.
        exponent: of these units.
    """

    found: list[Distance]
    model: Model
    exponent: np.ndarray

    @property
    def missing(self) -> str:
        """Why nothing is known; '' where it is."""
        if reasons := [one.reason for one in self.found if one.reason]:
            return reasons[0]
        far = any(one.radius == np.inf for one in self.found)
        return "the coefficients are too far from the optimum for its curvature to be told" if far else ""

    @property
    def coefficients(self) -> np.ndarray:
        """[p or p + 1, m] bounds on the coefficients in raw units, the bias last; infinite where `missing`."""
        p, model = len(self.model.kernel), self.model
        kernel = np.hstack([one.coefficients[:p] for one in self.found])
        kernel = np.ldexp(kernel + _ROUNDING * _EPS * np.abs(model.kernel), -self.exponent[:, None])
        if not model.has_bias:
            return kernel
        if self.missing:
            return np.vstack([kernel, np.full(model.bias.shape, np.inf)])
        # A raw bias is the logit of a row of zeros, which is far from the rows where columns are.
        zeros = scipy.sparse.csr_array((1, p)) if model.sparse else np.zeros((1, p))
        bias = np.hstack([one.rows(zeros) for one in self.found])
        folded = np.abs(model.bias) + np.abs(self.found[0].problem.centre) @ np.abs(model.kernel)
        return np.vstack([kernel, bias + _ROUNDING * _EPS * folded])

    def open_decisions(self, dataset: Dataset, rows: np.ndarray) -> int:
        """How many rows the model at the exact optimum could give another class than this one.

        Args:
            dataset: of the fit. rows: ids of rows.
        """
        return sum(host_rows.in_parallel(self._open, dataset.source, rows))

    def _open(self, batch) -> int:
        """Of a block of rows."""
        model, x = self.model, batch.x
        z = model.logits(x, batch.offset)
        lost = _ROUNDING * _EPS * (abs(x) @ np.abs(model.kernel) + np.abs(model.bias) + np.abs(batch.offset))
        at_most = lost + np.stack([one.rows_at_most(x) for one in self.found], axis=1)
        near = np.flatnonzero(_may_change(z, at_most))
        if not near.size:
            return 0
        bound = lost[near] + np.hstack([one.rows(x[near]) for one in self.found])
        return int(_may_change(z[near], bound).sum())


def _may_change(z: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Whether logits z [B, m], each within its bound, may have another class as the most probable: [B]."""
    if z.shape[1] == 1:
        return np.abs(z[:, 0]) <= bound[:, 0]
    rows, first = np.arange(len(z)), z.argmax(axis=1)
    least = z[rows, first] - bound[rows, first]
    others = z + bound
    others[rows, first] = -np.inf
    return others.max(axis=1) >= least


def of_model(task: Task, columns: moments.Affine, model: Model) -> Distances:
    """The distances of a model, from one or two reads of the training rows in float64.

    Args:
        task: of a full-batch fit, its settings with l1 and l2 for C.
        columns: from `optimum.columns_of`.
        model: in the units of the dataset, with the prior corrected as the task has it.
    """
    fitted, settings = model, task.settings
    if task.class_weight is not None and settings.correct_prior:
        fitted = dataclasses.replace(model, bias=model.bias + task.head.prior_shift(task.class_weight))
    certified, w = optimum.certified_at(task, columns, fitted)
    which = np.arange(len(w))
    problems = certified.as_read(w)
    found = distance.distances(
        certified.blocks(which), problems, columns.scale, len(task.dataset.train), task.devices.gather
    )
    return Distances(found, model, task.dataset.exponent)


def of_dataset(dataset: Dataset, devices: Devices, distances: Distances, role: str) -> int | None:
    """`open_decisions` of a split's rows, which the chief reads for all workers; None where there are none."""
    if distances.missing or role not in dataset.rows:
        return None
    return devices.from_chief(lambda: distances.open_decisions(dataset, dataset.rows[role]))
