"""Passes over the training rows for R replicates at once: X is read once, each replicate has its own weights.

Models are theta [R, q, m] of columns (x - shift) * scale and, with a bias, of ones. Arrays of a block are
[R m, B], in what a core's cache holds.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse

from tf_logreg.data import host_rows, shards
from tf_logreg.data.dataset import Dataset
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Batch
from tf_logreg.devices.devices import Devices
from tf_logreg.exact import sums
from tf_logreg.fit.bootstrap import draws, row_terms
from tf_logreg.objective import host_losses

_ELEMENTS = 2**18  # numbers of a block's arrays


class Slopes(NamedTuple):
    """Sums over rows as often as R replicates have them.

    weight, loss (nats), square: [R], the last of the largest squared p - e_y. gradient: [R, q, m].
    """

    weight: np.ndarray
    loss: np.ndarray
    square: np.ndarray
    gradient: np.ndarray


class Ends(NamedTuple):
    """Extremes of the rows: logits of the fit, whether all weigh the same, the largest length of a row."""

    low: float
    high: float
    alike: bool
    longest: float


class Beside(NamedTuple):
    """Sums over the rows that R replicates do not have, by the weights of the data.

    weight, loss: [R]. counts: [R, 2, BINS] rows of either class by their logits, of a sigmoid.
    """

    weight: np.ndarray
    loss: np.ndarray
    counts: np.ndarray


class Rows(NamedTuple):
    """A block's rows.

    x: [B, q] training columns. y: [B]. own: [B] weights of the data; weight: with class weights.
    offset: [m or 1, B]. key: [B], what is drawn. first: id of the first row.
    """

    x: np.ndarray
    y: np.ndarray
    own: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    key: np.ndarray
    first: int


@dataclasses.dataclass(frozen=True)
class Passes:
    """The rows, and how replicates draw them.

    Attributes:
        dataset, columns, devices: as of the fit.
        bias: whether columns have a one.
        start: [q, m], the fit's theta.
        class_weight: [C].
        keys: by row id what is drawn, as `draws.times` takes it; None for the rows themselves.
        seed: of the draws. count: R.
        dtype: of the terms of sums.
        kept: draws by the first row of a block, in memory; None where they would take too much of it.
    """

    dataset: Dataset
    columns: Affine
    devices: Devices
    bias: bool
    start: np.ndarray
    class_weight: np.ndarray
    keys: np.ndarray | None
    seed: int
    count: int
    dtype: np.dtype
    kept: dict | None

    def first(self) -> tuple[Slopes, Ends]:
        """All replicates' sums at the fit, and extremes of the rows."""
        (q, m), theta = self.start.shape, self.start

        def part_of(batch: Batch) -> tuple:
            rows = self._rows(batch)
            z = self._logits(rows, theta[None])
            own = rows.own[rows.own > 0]
            length = np.sqrt(np.einsum("bq,bq->b", rows.x, rows.x).max(initial=0.0))
            ends = [
                -z.min(initial=0.0),
                z.max(initial=0.0),
                -own.min(initial=np.inf),
                own.max(initial=0.0),
                length,
            ]
            loss, error = row_terms.losses_and_errors(z, rows.y)
            times, found = self._times(rows, np.arange(self.count)), np.empty((self.count, 3 + q * m))
            terms = (rows.weight * error[0]).T[:, None, :] * rows.x[:, :, None]
            plain = rows.weight * np.stack([np.ones_like(loss[0]), loss[0], np.square(error[0]).max(axis=0)])
            whole = np.column_stack([*plain, terms.reshape(len(rows.y), q * m)])
            for some in row_terms.slices(self.count, len(rows.y)):
                found[some] = np.dot(times[some].astype(self.dtype), whole)
            return found, ends

        found, ends = np.zeros((self.count, 3 + q * m)), np.array([0.0, 0.0, -np.inf, 0.0, 0.0])
        for part, more in self._each(part_of):
            found += part
            ends = np.maximum(ends, more)
        (found,) = sums.summed(self.devices.gather, found)
        low, high, least, most, length = self.devices.gather(ends).max(axis=0) * (-1, 1, -1, 1, 1)
        slopes = Slopes(*found[:, :3].T, found[:, 3:].reshape(-1, q, m))
        return slopes, Ends(low, high, bool(least >= most), length)

    def slopes(self, theta: np.ndarray, which: np.ndarray, *, loss: bool) -> tuple[np.ndarray, np.ndarray]:
        """Summed losses [k] in nats, or zeros, and gradients [k, q, m] of replicates `which` [k] at theta."""
        k, q, m = theta.shape

        def part_of(batch: Batch) -> tuple:
            rows = self._rows(batch)
            times, near = self._times(rows, which), self._near(rows)
            lost, gradient = np.zeros(k), np.empty((k, m, q), self.dtype)
            for some in row_terms.slices(k, m * len(rows.y)):
                z = self._moves(rows, near, theta[some])
                losses, error = row_terms.of_moves(z, near, rows.y, loss=loss, error=True)
                weight = np.multiply(times[some], rows.weight, dtype=self.dtype)
                if loss:
                    lost[some] = np.einsum("kb,kb->k", weight, losses)
                error *= weight[:, None]
                gradient[some] = np.dot(error.reshape(-1, len(rows.y)), rows.x).reshape(-1, m, q)
            return lost, gradient

        lost, gradient = np.zeros(k), np.zeros((k, m, q))
        for part, more in self._each(part_of):
            lost += part
            gradient += more
        lost, gradient = sums.summed(self.devices.gather, lost, gradient)
        return lost, gradient.transpose(0, 2, 1)

    def hessians(self, theta: np.ndarray, which: np.ndarray | None) -> np.ndarray:
        """Hessians [k, q m, q m] of the losses of replicates `which`, or of all rows, at theta."""
        k, q, m = theta.shape
        exact = dataclasses.replace(self, dtype=np.dtype(np.float64))

        def part_of(batch: Batch) -> np.ndarray:
            rows = exact._rows(batch)
            z, weight = exact._logits(rows, theta), rows.weight[None]
            if which is not None:
                weight = self._times(rows, which) * weight
            p = host_losses.sigmoid_curvature(z) if m == 1 else host_losses.softmax(z)
            return np.stack([row_terms.hessian(rows.x, *each) for each in zip(weight, p, strict=True)])

        found = np.zeros((k, q * m, q * m))
        for part in exact._each(part_of):
            found += part
        return sums.summed(self.devices.gather, found)[0]

    def curvature(self, theta: np.ndarray, further: np.ndarray, every: int) -> tuple[np.ndarray, ...]:
        """What one row in `every` says of the curvature of all replicates.

        Args:
            theta: [q, m]. further: [R, q, m].

        Returns:
            [R, q m, q m], the sums of their Hessians at theta; by how much logits of a row move apart at most
            on the way to `further`, [R]; and the largest length of a row.
        """
        q, m = theta.shape
        upper = np.triu_indices(q * m)
        move = (further - theta).transpose(0, 2, 1).reshape(-1, q).astype(self.dtype)

        def part_of(batch: Batch) -> tuple:
            rows = self._rows(batch)
            z = self._logits(rows, theta[None])
            p = host_losses.sigmoid_curvature(z) if m == 1 else host_losses.softmax(z)
            pairs = row_terms.pairs(rows.x, p[0], upper)
            times = draws.times(self.seed, rows.key, np.arange(self.count)) * rows.weight
            moved = np.dot(move, rows.x.T).reshape(-1, m, len(rows.y))
            apart = np.abs(moved[:, 0]) if m == 1 else moved.max(axis=1) - moved.min(axis=1)
            length = np.sqrt(np.square(rows.x, dtype=float).sum(axis=1).max(initial=0.0))
            return (
                np.dot(times.astype(self.dtype), pairs).astype(float),
                apart.max(axis=1, initial=0.0),
                length,
            )

        found, apart, longest = np.zeros((self.count, len(upper[0]))), np.zeros(self.count), 0.0
        for part, more, length in self._each(part_of, every, len(upper[0])):
            found, apart, longest = found + part, np.maximum(apart, more), max(longest, length)
        (found,) = sums.summed(self.devices.gather, found)
        whole = np.zeros((self.count, q * m, q * m))
        whole[:, upper[0], upper[1]] = whole[:, upper[1], upper[0]] = found
        gather = self.devices.gather
        return whole, gather(apart).max(axis=0), float(gather(np.array(longest)).max())

    def beside(self, theta: np.ndarray, ends: Ends) -> Beside:
        """How models theta [R, q, m] do on the rows that they have not seen."""
        (k, _, m), which = theta.shape, np.arange(len(theta))
        bins = row_terms.BINS
        shape, unit = (k, 2 if m == 1 else 0, bins), bins / max(ends.high - ends.low, 1e-30)

        def part_of(batch: Batch) -> tuple:
            rows = self._rows(batch)
            absent, near = self._times(rows, which) == 0, self._near(rows)
            absent &= rows.own > 0
            weight, lost, counts = np.dot(absent, rows.own), np.zeros(k), np.zeros(shape)
            for some in row_terms.slices(k, m * len(rows.y)):
                z = self._moves(rows, near, theta[some])
                if m == 1:
                    logit = z[:, 0] + (0 if near is None else near[0])
                    counts[some] = row_terms.counts(logit, rows.y, absent[some], ends.low, unit)
                losses, _ = row_terms.of_moves(z, near, rows.y, loss=True, error=False)
                losses *= rows.own
                lost[some] = np.einsum("kb,kb->k", absent[some], losses)
            return weight, lost, counts

        found = [np.zeros(k), np.zeros(k), np.zeros(shape)]
        for parts in self._each(part_of):
            for total, part in zip(found, parts, strict=True):
                total += part
        return Beside(*sums.summed(self.devices.gather, *found))

    def _each(self, part_of: Callable[[Batch], tuple], every: int = 1, width: int = 0) -> Iterator:
        """part_of(batch) of this worker's rows, or of one in `every`, in the same blocks in each pass."""
        source, devices = self.dataset.source, self.devices
        ids = shards.rows_of(self.dataset.train, devices.workers.replicas, devices.replicas)[::every]
        widest = max(self.count * self.start.shape[1], source.numbers_a_row, width)
        block = max(64, _ELEMENTS // widest)
        return host_rows.in_parallel(part_of, source, ids, block * source.numbers_a_row)

    def _rows(self, batch: Batch) -> Rows:
        p = len(self.columns.shift)
        x = np.ones((len(batch.y), p + self.bias), self.dtype)
        given = batch.x.toarray() if scipy.sparse.issparse(batch.x) else batch.x
        x[:, :p] = (given - self.columns.shift.astype(given.dtype)) * self.columns.scale
        own = batch.weight.astype(self.dtype)
        weight = own * self.class_weight.astype(self.dtype)[batch.y]
        key = batch.row if self.keys is None else self.keys[batch.row]
        return Rows(x, batch.y, own, weight, batch.offset.astype(self.dtype).T, key, int(batch.row[0]))

    def _times(self, rows: Rows, which: np.ndarray) -> np.ndarray:
        """How often replicates `which` [k] have the rows, uint8 [k, B]."""
        if self.kept is None:
            return draws.times(self.seed, rows.key, which)
        name = rows.first, len(rows.y)
        if name not in self.kept:
            self.kept[name] = draws.times(self.seed, rows.key, np.arange(self.count))
        return self.kept[name] if len(which) == self.count else self.kept[name][which]

    def _products(self, rows: Rows, theta: np.ndarray) -> np.ndarray:
        """X theta_k, [k, m, B], of theta [k, q, m]."""
        k, q, m = theta.shape
        flat = theta.transpose(0, 2, 1).reshape(k * m, q).astype(self.dtype)
        return np.dot(flat, rows.x.T).reshape(k, m, -1)

    def _logits(self, rows: Rows, theta: np.ndarray) -> np.ndarray:
        """[k, m, B] at theta [k, q, m]."""
        z = self._products(rows, theta)
        z += rows.offset
        return z

    def _near(self, rows: Rows) -> list[np.ndarray] | None:
        """The fit's logits [B], and the terms [B] of series of losses and errors; None where none are taken.

        They take a fifth of the time of exponentials and logarithms.
        """
        if self.start.shape[1] > 1 or self.dtype == np.float64:
            return None
        z = self._logits(rows, self.start[None]).astype(np.float64)
        logit = z[0, 0].copy()
        p = 1 / (1 + np.exp(-logit))
        loss, error = row_terms.losses_and_errors(z, rows.y)
        slope = p * (1 - p)
        terms = logit, loss[0], error[0, 0], slope, slope * (1 - 2 * p) / 2, slope * (1 - 6 * slope) / 6
        return [term.astype(self.dtype) for term in terms]

    def _moves(self, rows: Rows, near: list[np.ndarray] | None, theta: np.ndarray) -> np.ndarray:
        """Logits at theta [k, q, m], [k, m, B]; less the fit's where there are series."""
        return self._logits(rows, theta) if near is None else self._products(rows, theta - self.start)
