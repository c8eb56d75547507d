"""How far a fitted model is at most from the optimum: each coefficient, and the classes that it names."""

import dataclasses

import numpy as np
import scipy.sparse

from tf_logreg.data import host_rows, moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.exact import distance, slope
from tf_logreg.exact.distance import Distance
from tf_logreg.fit.full_batch import optimum
from tf_logreg.fit.full_batch.certified import Certified
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
        scale: [p], one over the deviation of each column. exponent: [p], of the units.
    """

    found: list[Distance]
    model: Model
    scale: np.ndarray
    exponent: np.ndarray

    @property
    def missing(self) -> str:
        """Why nothing is known; '' where it is."""
        if reasons := [one.reason for one in self.found if one.reason]:
            return reasons[0]
        far = any(one.radius == np.inf for one in self.found)
        return "the coefficients are too far from the optimum for its curvature to be told" if far else ""

    @property
    def largest(self) -> float:
        """The largest bound on a feature's coefficient, per standard deviation of its column."""
        p = len(self.scale)
        by_problem = [one.coefficients[:p] / self.scale[:, None] for one in self.found]
        return max(float(bound.max(initial=0.0)) for bound in by_problem)

    @property
    def coefficients(self) -> np.ndarray:
        """[p or p + 1, m] bounds on raw coefficients, the bias last; infinite where `missing`."""
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
        size = abs(x) @ np.abs(model.kernel) + np.abs(model.bias) + np.abs(batch.offset)
        lost = _ROUNDING * _EPS * size
        at_most = lost + np.stack([one.rows_at_most(x) for one in self.found], axis=1)
        near = np.flatnonzero(_may_change(model, z, at_most))
        if not near.size:
            return 0
        bound = lost[near] + np.hstack([one.rows(x[near]) for one in self.found])
        return int(_may_change(model, z[near], bound).sum())


def _may_change(model: Model, z: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Whether logits within `bound` [B, m] of z [B, m] may have another class for an answer: [B]."""
    if model.head.num_classes == 2:  # a log sigmoid moves by no more than its logit
        return np.abs(model.head.log_odds(z) - (model.cut or 0.0)) <= bound.sum(axis=1)
    rows, first = np.arange(len(z)), z.argmax(axis=1)
    least = z[rows, first] - bound[rows, first]
    others = z + bound
    others[rows, first] = -np.inf
    return others.max(axis=1) >= least


def of_model(task: Task, columns: moments.Affine, model: Model, gradient: np.ndarray | None) -> Distances:
    """The distances of a model, from some of the training rows or one or two reads of all.

    Args:
        task: of a full-batch fit, its settings with l1 and l2 for C.
        columns: from `optimum.columns_of`.
        model: in the units of the dataset, with the prior corrected as the task has it.
        gradient: its certificate's; None where it has none.
    """
    fitted, dataset, devices = model, task.dataset, task.devices
    if task.class_weight is not None and task.settings.correct_prior:
        fitted = dataclasses.replace(model, bias=model.bias + task.head.prior_shift(task.class_weight))
    certified, w = optimum.certified_at(task, columns, fitted)
    which, problems = np.arange(len(w)), certified.as_read(w)
    every = distance.one_in(problems[0], len(dataset.train))
    if isinstance(every, str):
        found = [distance.Distance(problem, reason=every) for problem in problems]
        return Distances(found, model, columns.scale, dataset.exponent)
    if every == 1 or gradient is None or len(problems) > 1 or task.has_offset:
        slopes = slope.slopes(certified.blocks(which), problems, devices.gather)
    else:
        slopes = [_slope(certified, w, gradient, dataset.all_moments)]
    some = dataclasses.replace(certified, rows=certified.rows[::every])
    found = distance.distances(
        some.blocks(which), problems, slopes, columns.scale, len(some.rows), devices.gather, whole=every == 1
    )
    return Distances(found, model, columns.scale, dataset.exponent)


def _slope(certified: Certified, w: np.ndarray, gradient: np.ndarray, scan: moments.Scan) -> slope.Slope:
    """The slope of one problem by the gradient of its certificate and the moments of its rows."""
    (problem,), (given,), p = certified.as_read(w), certified.as_given(w), len(scan.mean)
    centred = gradient.copy()
    if problem.has_bias:
        centred[:p] -= np.outer(problem.centre - given.centre, gradient[p])
    share = scan.class_weight_sum @ problem.class_weight
    # Root mean squares of the columns as given, by Cauchy's inequality, and by the largest class weight.
    more = np.sqrt(problem.class_weight.max() * scan.class_weight_sum.sum() / share)
    size = np.append(2 * more * np.hypot(scan.mean, scan.deviation), [1.0] * problem.has_bias)
    reach = size @ np.abs(problem.w).max(axis=1)
    doubt = np.finfo(np.float64).eps * size * (slope.SUMS + slope.LOGITS * reach)
    return slope.Slope(centred, np.tile(doubt[:, None], problem.w.shape[1]), float(share))
