"""Which replica reads which row."""

import numpy as np

VIRTUAL_SHARDS = 64


def owner(position, replicas: int):
    """The replica that reads the row at each position of a split's rows, by the row's shard.

    Takes and returns an array or a tensor of any shape.
    """
    return position % VIRTUAL_SHARDS % replicas


def rows_of(rows: np.ndarray, mine: range, replicas: int) -> np.ndarray:
    """The rows of a split that belong to some of the replicas."""
    if len(mine) == replicas:
        return rows
    return rows[np.isin(owner(np.arange(len(rows)), replicas), mine)]
