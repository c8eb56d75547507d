"""The fits of a cross-validation: every penalty beside every split, and the fit that its choice calls for.

Splits that are folds of one partition share a path, one copy of X and each read of it; any other split has
a path of its own.
"""

from __future__ import annotations

import dataclasses
import numbers
import time
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import outcome
from tf_logreg.arguments import inputs, parameters, splits
from tf_logreg.data import dataset as datasets
from tf_logreg.data import folds
from tf_logreg.data.dataset import Dataset
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.path.path import Path
from tf_logreg.fit.result import Status
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model


@dataclasses.dataclass(frozen=True)
class Grid:
    """The penalties that are tried, in the order in which they were given.

    Attributes:
        inverse: [S], values of C. l1_ratios: [R].
    """

    inverse: np.ndarray
    l1_ratios: np.ndarray

    @classmethod
    def of(cls, inverse: Any, l1_ratios: Any) -> Grid:
        """The grid of an estimator's parameters Cs and l1_ratios.

        Raises:
            InputError: a C that is not above 0, an l1_ratio outside [0, 1], or none.
        """
        if isinstance(inverse, numbers.Integral) and not isinstance(inverse, bool) and inverse >= 1:
            inverse = np.logspace(-4, 4, inverse)
        ratios = [0.0] if l1_ratios is None else l1_ratios
        return cls(
            _numbers("Cs", inverse, lambda v: v > 0, "a number >= 1, or numbers > 0"),
            _numbers("l1_ratios", ratios, lambda v: (v >= 0) & (v <= 1), "numbers in [0, 1], or None"),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(S, R)."""
        return len(self.inverse), len(self.l1_ratios)

    def into(self, settings: ConfigDict) -> None:
        """Sets the path of these penalties: each C and each share once, C in increasing order."""
        settings.path.penalty = "elastic_net"
        settings.path.C = tuple(np.unique(self.inverse).tolist())
        settings.path.l1_ratios = tuple(np.unique(self.l1_ratios).tolist())

    def placed(self, by_point: np.ndarray) -> np.ndarray:
        """[N, F, ...], by the points of the path -> [F, S, R, ...], by the grid as it was given."""
        (inverse, i), (ratios, r) = (
            np.unique(one, return_inverse=True) for one in (self.inverse, self.l1_ratios)
        )
        whole = by_point.reshape(len(inverse), len(ratios), *by_point.shape[1:])
        return np.moveaxis(whole[i[:, None], r], 2, 0)

    def best(self, scores: np.ndarray) -> tuple[int, int]:
        """Indices of the C and the l1_ratio with the highest sum of scores [F, S, R]; the first of equals."""
        total = np.where(np.isnan(scores), -np.inf, scores).sum(axis=0)
        return tuple(map(int, np.unravel_index(total.argmax(), total.shape)))


@dataclasses.dataclass(frozen=True)
class Found:
    """The fits of F splits x S values of C x R l1_ratios.

    Attributes:
        kernel, bias: [F, S, R, p, m] and [F, S, R, m], raw units.
        scores: [F, S, R], of the rows that each split tests.
        status: [F, S, R] strings. certified_gap: [F, S, R] nats, NaN where there is none.
        steps: [F, S, R], of the method.
    """

    kernel: np.ndarray
    bias: np.ndarray
    scores: np.ndarray
    status: np.ndarray
    certified_gap: np.ndarray
    steps: np.ndarray

    def uncertified(self) -> str:
        """What is to be said of fits that ended without a certificate of their optimum; '' where none did."""
        open_ = self.status != Status.OPTIMAL
        if not open_.any():
            return ""
        counts = zip(*np.unique(self.status[open_], return_counts=True), strict=True)
        gap = np.fmax.reduce(self.certified_gap[open_])
        known = "gaps that are unknown" if np.isnan(gap) else f"gaps of up to {gap:.1e} nats"
        remedy = "raise max_iter, or " if (self.status == Status.MAX_PASSES).any() else ""
        return (
            f"{open_.sum()} of {open_.size} fits of the path are not certified "
            f"({', '.join(f'{count} {status}' for status, count in counts)}), with {known}: "
            f"{remedy}lower the largest of Cs."
        )


@dataclasses.dataclass
class Search:
    """A cross-validation of a grid of penalties.

    Attributes:
        settings: of each fit, but for its penalty. source: all rows. devices: where they are fitted.
        cut: F splits, row numbers (train, test). grid: the penalties. monitor: is shown the progress.
    """

    settings: ConfigDict
    source: Source
    devices: Devices
    cut: list[tuple[np.ndarray, np.ndarray]]
    grid: Grid
    monitor: Monitor
    _whole: Dataset | None = None

    def explore(self, metric: str) -> Found:
        """Fits every penalty beside every split, and scores it by one of `strengths.METRICS`.

        Raises:
            InputError: rows that cannot be used, or a problem that does not fit in memory.
            RunError: no fit of a split could be scored.
        """
        parts = [self._path(batch, metric) for batch in splits.batches(self.cut, self._num_rows)]
        fields = [field.name for field in dataclasses.fields(Found)]
        return Found(
            **{
                name: np.concatenate([self.grid.placed(getattr(part, name)) for part in parts])
                for name in fields
            }
        )

    def refit(self, found: Found, i: int, r: int) -> tuple[Model, dict]:
        """The fit to all rows with C number i and l1_ratio number r; it starts at the mean of the splits'.

        Returns:
            The model, and the fields of `result.json`.
        """
        began = time.perf_counter()
        settings, names = self.settings.copy_and_resolve_references(), self.source
        settings.C, settings.l1_ratio = self.grid.inverse[i].item(), self.grid.l1_ratios[r].item()
        dataset = self._whole or datasets.of_rows(
            self.source, {"train": np.arange(self._num_rows)}, settings, self.devices
        )
        kernel, bias = found.kernel[:, i, r].mean(axis=0), found.bias[:, i, r].mean(axis=0)
        start = Model(kernel, bias, names.feature_names, names.class_names, self.head)
        learn.check(settings, dataset, self.devices)
        fit = learn.learn(settings, dataset, self.devices, self.monitor, start)
        seconds = {"fit": time.perf_counter() - began}
        return fit.model, outcome.record_of(fit, dataset, self.devices, {}, seconds)

    @property
    def head(self) -> heads.Head:
        """The output of the models."""
        return heads.resolve(self.settings.model.output, len(self.source.class_names))

    @property
    def _num_rows(self) -> int:
        return max(part.stop for part in self.source.splits.values())

    def _path(self, batch: splits.Batch, metric: str) -> Path:
        """The path of a batch of splits."""
        settings = self.settings.copy_and_resolve_references()
        self.grid.into(settings)
        settings.cv.metric = metric
        if batch.folds:
            settings.cv.folds = len(batch.which)
            tests = [self.cut[number][1] for number in batch.which]
            given = folds.given(tests, self._num_rows)
            rows = {"train": np.arange(self._num_rows)}
            dataset = self._whole = datasets.of_rows(self.source, rows, settings, self.devices, folds=given)
        else:
            train, test = self.cut[batch.which[0]]
            rows = {"train": train, "validation": test}
            dataset = datasets.of_rows(self.source, rows, settings, self.devices)
        learn.check(settings, dataset, self.devices)
        return learn.explore(settings, dataset, self.devices, self.monitor)


def balanced(source: Source, labels: inputs.Labels, weight: np.ndarray) -> str:
    """'balanced' by all rows, as weights by name; not for one-vs-rest, whose problems have weights each.

    Args:
        source: of the rows. labels: theirs. weight: [n], of the rows.
    """
    sums = np.bincount(labels.y, weight)
    by_label = dict(zip(labels.classes.tolist(), sums.sum() / (len(sums) * sums), strict=True))
    return parameters.class_weight_text(by_label, source.class_names, labels.classes)


def _numbers(name: str, given: Any, allowed: Any, expected: str) -> np.ndarray:
    """A parameter as float64 [count]; InputError where it is none."""
    values = np.asarray(given)
    if values.ndim == 1 and values.size and values.dtype.kind in "fiu" and allowed(values).all():
        return values.astype(float)
    raise InputError(f"{name}: expected {expected}. Received: {given!r}.")
