"""Scores of a path's models on the rows that they did not see."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.special

from tf_logreg.data import host_rows, moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.engines.engine import Engine
from tf_logreg.errors import InputError
from tf_logreg.model import areas as curves
from tf_logreg.model.head import Head
from tf_logreg.names import told_apart
from tf_logreg.objective import records


@dataclasses.dataclass(frozen=True)
class Scored:
    """The rows that score a path's models.

    Attributes:
        metric: one of `strengths.METRICS`.
        engine: passes over the rows.
        dataset: its folds are held out in turn; its validation rows score where it has no folds.
        by_folds: which of the two.
        columns: the map from raw to training columns.
        devices, head: where passes are made; the output of the models.
        most_bytes: of logits that the area under the ROC curve keeps at a time.
    """

    metric: str
    engine: Engine
    dataset: Dataset
    by_folds: bool
    columns: moments.Affine
    devices: Devices
    head: Head
    most_bytes: float

    def scores(self, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Scores [N, F] of kernels [N, F, p, m] and biases [N, F, m] in training columns.

        They have the user's row weights and no class weights. A log loss is in nats; balanced accuracy is the
        mean recall of the classes that have held-out rows.
        """
        if self.metric == "roc_auc":
            # The chief reads all rows for all workers: a rank needs them side by side.
            return self.devices.from_chief(lambda: self._areas(kernel, bias))
        weight, loss, correct = self._sums(kernel, bias)
        if self.metric == "log_loss":
            return loss / weight.sum(axis=2)
        if self.metric == "accuracy":
            return correct.sum(axis=2) / weight.sum(axis=2)
        recall = np.divide(correct, weight, out=np.zeros_like(weight), where=weight > 0)
        return recall.sum(axis=2) / (weight > 0).sum(axis=2)

    def _sums(self, kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        """Weights [N, F, C], losses [N, F] and correct weights [N, F, C], from one pass."""
        name = "held_out_one_vs_rest" if self.head.is_one_vs_rest else "held_out"
        held_out = self.dataset.folds.held_out if self.by_folds else np.zeros(1, np.int32)
        shape = kernel.shape[:2]
        w = np.concatenate([kernel, bias[:, :, None]], axis=2)
        record = records.Problems(np.tile(held_out, shape[0]), np.ones((len(held_out) * shape[0], 1)))
        found = self.engine.sums(name, (w.reshape(-1, *w.shape[2:]),), record, 3 * w[..., 0, :].size)
        return [array.reshape(*shape, *array.shape[1:]) for array in found]

    def _areas(self, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Areas under the ROC curve [N, F]; with more than two classes the mean of each against the rest."""
        source, found = self.dataset.source, np.empty(kernel.shape[:2])
        kernel = kernel * self.columns.scale[:, None]
        for f, rows in enumerate(held_out_rows(self.dataset, by_folds=self.by_folds)):
            size = max(1, int(self.most_bytes // (8 * len(rows) * self.head.outputs)))
            for start in range(0, len(kernel), size):
                part = slice(start, start + size)
                logits, weight = self._logits(rows, kernel[part, f], bias[part, f])
                y = source.labels(rows)[weight > 0]
                found[part, f] = [_area(self.head, y, one[weight > 0], weight[weight > 0]) for one in logits]
        return found

    def _logits(
        self, rows: np.ndarray, kernel: np.ndarray, bias: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits [N, n, m] of n rows by kernels [N, p, m] and biases [N, m], and the rows' weights [n]."""
        logits, weight, start = np.empty((len(kernel), len(rows), kernel.shape[2])), np.empty(len(rows)), 0
        for batch in host_rows.host_batches(self.dataset.source, rows):
            part = slice(start, start + len(batch.y))
            if self.dataset.source.sparse:
                columns = kernel.transpose(1, 0, 2).reshape(kernel.shape[1], -1)
                products = (batch.x @ columns - self.columns.shift @ columns).reshape(
                    len(batch.y), -1, kernel.shape[2]
                )
                products = products.transpose(1, 0, 2)
            else:
                products = (batch.x - self.columns.shift) @ kernel
            logits[:, part] = products + bias[:, None] + batch.offset
            weight[part], start = batch.weight, part.stop
        return logits, weight


def held_out_rows(dataset: Dataset, *, by_folds: bool) -> Iterator[np.ndarray]:
    """Ids of the rows that score beside each fold."""
    if not by_folds:
        yield dataset.rows["validation"]
        return
    for fold in dataset.folds.held_out:
        yield dataset.train[dataset.folds.fold == fold]


def check_areas(dataset: Dataset, head: Head, *, by_folds: bool, most_bytes: float) -> None:
    """Checks that each fold has an area under the ROC curve, and that its logits fit in memory.

    Raises:
        InputError: they do not, or held-out rows lack a class.
    """
    names = told_apart(dataset.source.class_names)
    for f, rows in enumerate(held_out_rows(dataset, by_folds=by_folds)):
        there = np.bincount(dataset.source.labels(rows), minlength=len(names)) > 0
        if not there.all():
            place = f"fold {f + 1}" if by_folds else "the validation rows"
            raise InputError(
                f"cv.metric: expected held-out rows of every class for 'roc_auc'. Received: none of "
                f"{names[int((~there).argmax())]!r} in {place}."
            )
        if (needed := 8.0 * len(rows) * head.outputs) > most_bytes:
            raise InputError(
                f"cv.metric: 'roc_auc' keeps the logits of a fold in memory, {needed:,.0f} bytes for "
                f"{len(rows):,} rows. Received: evaluate.max_bytes={most_bytes:,.0f}."
            )


def _area(head: Head, y: np.ndarray, logits: np.ndarray, weight: np.ndarray) -> float:
    """The area of logits [n, m]; NaN if one is not finite."""
    if not np.isfinite(logits).all():
        return np.nan
    if head.is_one_vs_rest:
        logits = scipy.special.log_expit(logits)
    if head.num_classes == 2:
        columns = {1: logits[:, -1] - (logits[:, 0] if head.outputs == 2 else 0)}
    else:
        columns = dict(enumerate(scipy.special.log_softmax(logits, axis=1).T))
    if len(np.unique(y)) < head.num_classes:  # a class has only rows of weight 0
        return np.nan
    found = [curves.areas(y == c, column, weight)[0] for c, column in columns.items()]
    return float(np.mean(found))
