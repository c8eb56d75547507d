"""Converts K problems between training columns and the raw data, in which they are certified.

A solver sees columns of deviation one; the certificate sees raw rows in float64, only centred. This
module converts weights and penalties, for one problem (a single fit) or many (a path).
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tf_logreg.data import host_rows, shards
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.exact import certificate, dependence, host, recession, separation, sums
from tf_logreg.fit.full_batch.penalized import WEAK_L2, Penalized

_MOST_WEAK = 2000  # most coefficients for which those with a weak l2 are projected


@dataclasses.dataclass(frozen=True)
class Certified:
    """Certificates and exact sums of K problems for `loop.solve`, in float64 from the raw rows.

    Attributes:
        problems: in training columns; passes made here are added to its count.
        source, rows, columns: the rows, and the map from raw to training columns.
        devices: each of its workers reads and certifies its own rows.
        folds: [n] fold of each row, or None when no problem holds a fold out.
    """

    problems: Penalized
    source: Source
    rows: np.ndarray
    columns: Affine
    devices: Devices
    folds: np.ndarray | None = None

    def blocks(self, which: np.ndarray, *, everyone: bool = False) -> Callable[[], Iterator[host.Block]]:
        """A function that reads this worker's rows, or all rows.

        Each call reads them again and counts as a pass of the problems `which`.
        """
        numbers = self.source.numbers_a_row
        elements = host.block_elements(numbers, self.problems.shape[1], len(which))

        def mine(array: np.ndarray) -> np.ndarray:
            return (
                array
                if everyone
                else shards.rows_of(array, self.devices.workers.replicas, self.devices.replicas)
            )

        def read() -> Iterator[host.Block]:
            start, folds = 0, None if self.folds is None else mine(self.folds)
            for batch in host_rows.host_batches(self.source, mine(self.rows), elements):
                stop = start + len(batch.y)
                fold = np.broadcast_to(0, stop - start) if folds is None else folds[start:stop]
                yield host.Block(batch.x, batch.y, batch.weight, batch.offset, fold)
                start = stop

        def counted() -> Iterator[host.Block]:
            self.problems.passes[which] += 1
            self.problems.made["float64"] += 1
            return read()

        return counted

    def problem(self, w: np.ndarray, k: int) -> host.Problem:
        """Problem k at w [P], in raw, centred columns."""
        given, (p, m), scale = self.problems, self.problems.shape, self.columns.scale

        def raw(penalty: np.ndarray) -> np.ndarray:
            whole = np.zeros((p + given.bias, m), penalty.dtype)
            whole[:p] = penalty[:, None]
            return whole

        weak = (given.l2[k] > 0) & (given.l2[k] < WEAK_L2)

        kernel = w.reshape(-1, m).copy()
        kernel[:p] *= scale[:, None]
        return host.Problem(
            kernel,
            self.columns.shift,
            raw(given.l1[k] / scale),
            raw(given.l2[k] / np.square(scale)),
            given.class_weight[k],
            int(given.held_out[k]),
            int(given.latest[k]),
            int(given.positive[k]),
            raw(weak) if weak.any() and given.size <= _MOST_WEAK else None,
        )

    def certify(
        self, w: np.ndarray, which: np.ndarray, enough: np.ndarray, final: np.ndarray | None = None
    ) -> list[certificate.Certificate]:
        """Certificates of the problems `which` [k] at w [k, P]; gradients are in columns `_as_given`.

        `enough` and `final` [k] are those of `certificate.certify`.
        """
        problems = self._as_given([self.problem(one, k) for one, k in zip(w, which, strict=True)])
        return certificate.certify(self.blocks(which), problems, self.devices.gather, enough, final)

    def exact(self, w: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Float64 values [k] and gradients [k, P] of the smooth part, in training columns."""
        centred = [self.problem(one, k) for one, k in zip(w, which, strict=True)]
        given, p = self._as_given(centred), self.problems.shape[0]
        values, gradients = [], []
        found = sums.first_pass(self.blocks(which), given, self.devices.gather)
        for problem, seen, total in zip(centred, given, found, strict=True):
            gradient = total.gradient
            if problem.has_bias:
                gradient[:p] -= np.outer(problem.centre - seen.centre, gradient[p])
            gradient += problem.l2 * problem.w
            gradient[:p] *= self.columns.scale[:, None]
            values.append(total.loss + (problem.l2 / 2 * np.square(problem.w)).sum())
            gradients.append(gradient.ravel())
        return np.array(values), np.array(gradients)

    def as_given(self, w: np.ndarray) -> list[host.Problem]:
        """All problems at w [K, P] as `certify` has them, whose gradients are in these columns."""
        return self._as_given([self.problem(one, k) for k, one in enumerate(w)])

    def _as_given(self, problems: list[host.Problem]) -> list[host.Problem]:
        """The same problems in columns of which only those are centred whose mean is far from zero.

        The bias takes the other means, which saves a copy of the rows. Unpenalised columns stay
        centred: their projection is the more accurate. Sparse rows stay as they are.
        """
        one, p, sparse = problems[0], self.problems.shape[0], self.source.sparse
        if not one.has_bias or (((one.l1 == 0) & (one.l2 == 0))[:p].any() and not sparse):
            return problems
        near = np.ones(p, bool) if self.columns.far is None or sparse else ~self.columns.far

        def given(problem: host.Problem) -> host.Problem:
            w = problem.w.copy()
            w[p] -= problem.centre[near] @ w[:p][near]
            return dataclasses.replace(problem, w=w, centre=np.where(near, 0.0, problem.centre))

        return [given(problem) for problem in problems]

    def as_read(self, w: np.ndarray) -> list[host.Problem]:
        """All problems at w [K, P], centred where rows are dense."""
        return [self._as_searched(one, k) for k, one in enumerate(w)]

    def _as_searched(self, w: np.ndarray, k: int) -> host.Problem:
        """Problem k at w [P] as searches read it: centred, where rows are dense."""
        problem = self.problem(w, k)
        return self._as_given([problem])[0] if self.source.sparse else problem

    def separated(self, w: np.ndarray, k: int) -> tuple[np.ndarray | None, bool]:
        """`separation.separating_direction` of problem k at w [P].

        The chief computes it from all rows for all workers, because the linear programme has a time limit.
        """

        def search() -> tuple:
            blocks = self.blocks(np.array([k]), everyone=True)
            found = separation.separating_direction(blocks, self._as_searched(w, k), self.columns.scale)
            return *found, self.problems.passes[k]

        direction, settled, self.problems.passes[k] = self.devices.from_chief(search)
        return direction, settled

    def running_off(self, direction: np.ndarray, k: int) -> tuple[np.ndarray, bool]:
        """`recession.running_off` of problem k, which `separated` found to be separated along `direction`."""

        def search() -> tuple:
            blocks = self.blocks(np.array([k]), everyone=True)
            at = self._as_searched(np.zeros(self.problems.size), k)
            return *recession.running_off(blocks, at, self.columns.scale, direction), self.problems.passes[k]

        moved, whole, self.problems.passes[k] = self.devices.from_chief(search)
        return moved, whole

    def dependence(self, k: int) -> dependence.Dependence | None:
        """`dependence.dependence` of problem k's unpenalised columns."""

        def search() -> tuple:
            blocks, at = self.blocks(np.array([k]), everyone=True), np.zeros(self.problems.size)
            eps = float(np.finfo(self.source.x_dtype).eps)
            found = dependence.dependence(blocks, self._as_searched(at, k), self.columns.scale, eps)
            return found and tuple(found), self.problems.passes[k]

        found, self.problems.passes[k] = self.devices.from_chief(search)
        return found and dependence.Dependence(*found)
