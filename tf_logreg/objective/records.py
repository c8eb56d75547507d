"""What a pass over the rows is given: the rows, and what differs between K problems over them.

The arrays are NumPy's as a fit fills them in, and TensorFlow's on the devices.
"""

from typing import Any, NamedTuple

import numpy as np

Array = Any  # a tf.Tensor or an np.ndarray


class Rows(NamedTuple):
    """B rows as training sees them."""

    x: Array  # [B, p] float32, float64 or bfloat16
    y: Array  # [B] int32 class index
    weight: Array  # [B] the user's row weights, 0 for padding
    offset: Array  # [B, m], or [B, 1] zeros; added to the logits
    fold: Array  # [B] int32


class Problems(NamedTuple):
    """What differs between K problems over the same rows; fields of length 1 are the same for all."""

    held_out: Array  # [K] int32: rows of this fold do not count; -1 for none
    class_weight: Array  # [K, C] multiplies the row weights by class
    # Rows of later folds do not count: a fold in time trains on its past.
    latest: Array = np.full(1, np.iinfo(np.int32).max, np.int32)  # [K] int32
    # With one output, the class against all others; -1 for labels as they are.
    positive: Array = np.full(1, -1, np.int32)  # [K] int32
