"""Truth values, which are words in a CSV file and booleans in a frame: the same features from either."""

import numpy as np
import pyarrow as pa

from tf_logreg.tables import encoding, inference
from tf_logreg.tables.overrides import AskedCross
from tf_logreg.tables.table import plain

FLAGS = [True, False, None, True] * 6
OTHER = ["u", "v"] * 12


def table(flags):
    return plain(pa.table({"flag": flags, "other": OTHER}))


def test_booleans_are_the_words_of_training():
    frame = table(FLAGS)
    for spelling in (str, lambda flag: str(flag).lower(), lambda flag: str(flag).upper()):
        file = table([None if flag is None else spelling(flag) for flag in FLAGS])
        rules = inference.Rules(crosses=(AskedCross(("flag", "other")),))
        for train, other in ((file, frame), (frame, file)):
            schema = inference.infer(train, np.array([0, 1] * 12), np.ones(24), rules)
            expected = encoding.encode(schema, train, sparse=False)
            np.testing.assert_array_equal(encoding.encode(schema, other, sparse=False), expected)
            assert expected.sum(axis=0).all()


def test_zeros_and_ones_are_truth_values():
    flags = [bool(k % 3) for k in range(24)]
    tables = [table(flags), table([int(flag) for flag in flags]), table([float(flag) for flag in flags])]
    for train in tables:
        schema = inference.infer(train, np.array([0, 1] * 12), np.ones(24), inference.Rules())
        expected = encoding.encode(schema, train, sparse=False)
        for other in tables:
            np.testing.assert_array_equal(encoding.encode(schema, other, sparse=False), expected)
