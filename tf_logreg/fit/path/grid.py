"""The penalties of a path and its K problems over the same rows.

A path has N penalties: S strengths, the strongest first, each with every one of R shares of l1. Problem
k = ((i R + r) F + f) M + c has strength i, share r, fold f and class c; M is C with one against the rest,
else 1. Folds change which rows count, the class weights and the penalties.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import folds as make_folds
from tf_logreg.data import moments
from tf_logreg.engines.engine import Engine
from tf_logreg.fit import class_weight, penalties
from tf_logreg.fit.full_batch import copied_columns, optimum, sample
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.path.scores import Scored
from tf_logreg.fit.task import Task


@dataclasses.dataclass(frozen=True)
class PathTask(Task):
    """The task of a path: passes, columns, problems at once, and rows for preconditioners."""

    engine: Engine
    scored: Scored
    columns: moments.Affine
    at_once: int
    sampled: Callable[[], sample.Rows]

    @property
    def sums_of_weights(self) -> np.ndarray:
        """[F]: those of the rows that train beside each fold, class weights included."""
        found = [
            penalties.sum_of_weights(self.settings.class_weight, self.dataset.source, scan)
            for scan in self.dataset.moments
        ]
        return np.array(found)

    @property
    def sum_of_weights(self) -> float:
        """That of all training rows."""
        given = self.settings.class_weight
        return penalties.sum_of_weights(given, self.dataset.source, self.dataset.all_moments)

    @property
    def factor(self) -> np.ndarray:
        """[p] penalty factors."""
        return optimum.penalty_factor(self.settings.penalty_factor, self.dataset.source.feature_names)


def shares(settings: ConfigDict) -> np.ndarray:
    """[R]: the shares of a strength that are l1; the rest is l2."""
    by_name = {"l1": (1.0,), "l2": (0.0,), "elastic_net": settings.path.l1_ratios}
    return np.array(by_name[settings.path.penalty], float)


def scales(task: PathTask) -> np.ndarray:
    """[F]: a strength in each fold, over the same strength on all training rows.

    C is of the sum of losses, and a fold's own sum of weights makes a mean of it.
    """
    if not task.settings.path.C:
        return np.ones(len(task.dataset.moments))
    return task.sum_of_weights / task.sums_of_weights


def penalties_of(task: PathTask, values: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """l1 and l2, [N, F] each, of strengths [S] in folds with `scales` [F]."""
    settings, share = task.settings, shares(task.settings)
    strength = np.repeat(values, len(share))[:, None] * scales
    share = np.tile(share, len(values))[:, None]
    return settings.l1 + share * strength, settings.l2 + (1 - share) * strength


def problems_of(
    task: PathTask, values: np.ndarray, folds: make_folds.Folds, scans: list[moments.Scan], scales: np.ndarray
) -> Penalized:
    """The problems of strengths [S] beside F folds.

    Args:
        task: the path's.
        values: [S].
        folds: F of them.
        scans: F moments, of the rows that train beside each.
        scales: [F], from `scales`.
    """
    settings, dataset, head = task.settings, task.dataset, task.head
    weights, units, sides = [], [], head.num_problems
    for scan in scans:
        found = class_weight.parse(
            settings.class_weight, dataset.source.class_names, scan.class_weight_sum, head
        )
        weights.append(np.broadcast_to(1.0 if found is None else found, (sides, head.num_classes)))
        units.append(penalty_unit(task, scan))
    points, together = len(values) * len(shares(settings)), len(scans) * sides
    unit = np.tile(np.repeat(units, sides, axis=0), (points, 1))
    positive = np.tile(head.positive, points * len(scans))
    l1, l2 = (np.repeat(one, sides)[:, None] for one in penalties_of(task, values, scales))
    with np.errstate(over="ignore"):
        l1, l2 = optimum.capped(l1 * task.factor * unit), optimum.capped(l2 * task.factor * unit * unit)
    return Penalized(
        task.engine,
        (dataset.num_features, head.outputs_of_problem),
        settings.model.bias,
        np.tile(np.repeat(folds.held_out, sides), points),
        np.tile(np.concatenate(weights), (points, 1)),
        l1,
        l2,
        len(dataset.train),
        latest=np.tile(np.repeat(folds.latest, sides), points),
        positive=positive,
        # The folds of a penalty have about the same Hessian; with one against the rest, those of a class.
        alike=np.repeat(np.arange(points), together) * sides + positive,
        sample=task.sampled,
        columns=copied_columns.reader(dataset.source, dataset.train, task.columns, dataset.folds.fold),
    )


def penalty_unit(task: PathTask, scan: moments.Scan) -> np.ndarray:
    """[p]: the coefficient that penalties act on, over the coefficient of the training column.

    It is the coefficient of the raw column, or of the column standardised by the rows of `scan` alone. The
    centring only changes the bias.
    """
    raw = task.columns.penalty_unit(standardize=False)
    own = task.columns.scale * np.where(scan.deviation > 0, scan.deviation, 1.0)
    return np.where(task.dataset.scaled(task.settings), own, raw)
