"""The maximum of the likelihood of some columns, in float64 to the last digit: Newton's method on the host.

A coefficient that is off by delta raises n times the objective by about delta^2 / (2 se^2), so it is within
sqrt(2 n gap) standard errors of the optimum. Steps go on until n times the gap is at most 1e-12.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import host_rows, shards
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.exact import information
from tf_logreg.exact.host import Block

_GAP = 1e-12  # of n times the objective
_NEAR = 1e-8  # below which a gap that no longer falls is rounding
_MOST_STEPS, _SHORTEST_STEP = 30, 2.0**-20
_NO_RISE = 1e-12  # of the loss, that rounding may make


@dataclasses.dataclass(frozen=True)
class Rows:
    """Where sums over the training rows come from.

    Attributes:
        read: gives this worker's blocks, anew each time.
        devices: whose workers add up.
        least: the share of a combination of columns that may be rounding, of the matrix or of the numbers.
        num_groups: that the rows are in; 0 where they have none.
    """

    read: Callable[[], Iterator[Block]]
    devices: Devices
    least: float
    num_groups: int = 0

    def sums(self, theta: np.ndarray, columns: information.Columns, power: int = 0) -> information.Sums:
        """Sums at theta [q, J]; `power` as of `information.of_rows`."""
        groups = self.num_groups if power else 0
        return information.of_rows(
            self.read(), theta, columns, self.devices.gather, power=power, num_groups=groups
        )


class Maximum(NamedTuple):
    """Where the likelihood of some columns is largest.

    Attributes:
        theta: [q, J] as of `information`. sums: there.
        inverse, null: of the information there, from `information.inverse`.
        gap: of n times the objective to its optimum, about.
    """

    theta: np.ndarray
    sums: information.Sums
    inverse: np.ndarray
    null: np.ndarray
    gap: float

    @property
    def rank(self) -> int:
        """Number of coefficients that the rows determine."""
        return len(self.sums.score) - len(self.null)


def rows_of(settings: ConfigDict, dataset: Dataset, devices: Devices, size: int) -> Rows:
    """The training rows, with their groups where errors are clustered.

    Args:
        settings: its sections inference and data are read.
        dataset, devices: as of the fit.
        size: J q, number of coefficients.
    """
    source = dataset.source
    group, num_groups = np.zeros(len(dataset.train), np.int64), 0
    if settings.inference.cov_type.startswith("cluster"):
        of_row = np.asarray(source.extras[settings.data.group])[dataset.train]
        values, group = np.unique(of_row, return_inverse=True)
        num_groups = len(values)
    team = devices.workers
    own, own_group = (
        shards.rows_of(array, team.replicas, devices.replicas) for array in (dataset.train, group)
    )
    elements = information.rows_in_block(source.numbers_a_row, size) * source.numbers_a_row

    def read() -> Iterator[Block]:
        start = 0
        for batch in host_rows.host_batches(source, own, elements):
            stop = start + len(batch.y)
            yield Block(batch.x, batch.y, batch.weight, batch.offset, own_group[start:stop])
            start = stop

    eps, of_numbers = np.finfo(np.float64).eps, np.finfo(source.x_dtype).eps
    least = max(100 * size * float(eps), (8 * float(of_numbers)) ** 2)
    return Rows(read, devices, least, num_groups)


def maximum(rows: Rows, theta: np.ndarray, columns: information.Columns) -> Maximum:
    """Newton's method from theta [q, J], with shorter steps where the loss would rise."""
    sums, gap = rows.sums(theta, columns), np.inf
    for _ in range(_MOST_STEPS):
        inverse, null = information.inverse(sums.information, rows.least)
        step, before = inverse @ sums.score, gap
        gap = float(step @ sums.score) / 2
        if gap <= _GAP or before / 4 < gap < _NEAR:
            break
        share = 1.0
        while share > _SHORTEST_STEP:
            further = theta + share * step.reshape(theta.shape[::-1]).T
            after = rows.sums(further, columns)
            if after.loss <= sums.loss + _NO_RISE * abs(sums.loss):
                break
            share /= 2
        else:
            break
        theta, sums = further, after
    return Maximum(theta, sums, inverse, null, gap)


def restricted(
    rows: Rows, found: Maximum, columns: information.Columns, features: np.ndarray
) -> tuple[Maximum, np.ndarray]:
    """The maximum with some of the features alone; and its theta [q, J] among all columns, zero elsewhere.

    Args:
        rows: the rows. found: the maximum with all columns. columns: all of them.
        features: [f] ascending places in `columns.features`.
    """
    fewer = dataclasses.replace(
        columns, features=features, centre=columns.centre[features], scale=columns.scale[features]
    )
    kept = [*features, *[len(columns.features)] * columns.bias]
    start = found.theta[kept] if len(features) else np.zeros((len(kept), found.theta.shape[1]))
    least, theta = maximum(rows, start, fewer), np.zeros_like(found.theta)
    theta[kept] = least.theta
    return least, theta
