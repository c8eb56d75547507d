"""The estimator's frames with words: weights as scikit-learn takes them, and no rows."""

import numpy as np
import pytest

from tf_logreg import LogisticRegression
from tf_logreg.errors import InputError

FRAME = {"word": np.array(["u", "v"] * 20), "x": np.arange(40.0) % 7}
Y = np.arange(40) % 3 == 0


def test_one_weight_for_all_rows():
    expected = LogisticRegression().fit(FRAME, Y, sample_weight=np.full(40, 2.0)).coef_
    np.testing.assert_array_equal(LogisticRegression().fit(FRAME, Y, sample_weight=2.0).coef_, expected)


def test_no_rows():
    with pytest.raises(InputError, match=r"X: expected rows. Received: none"):
        LogisticRegression().fit({name: values[:0] for name, values in FRAME.items()}, Y[:0])
