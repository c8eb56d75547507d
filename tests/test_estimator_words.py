"""The estimator's frames with words: weights as scikit-learn takes them, and no rows."""

import numpy as np
import pandas as pd
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


def test_the_saved_model_of_words_takes_raw_columns(tmp_path):
    import tensorflow as tf

    frame = pd.DataFrame({"word": ["a", "b", "a", "c"] * 20, "size": np.arange(80.0)})
    model = LogisticRegression().fit(frame, np.arange(80) % 3 % 2)
    model.export(str(tmp_path / "export"))
    serve = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    found = serve(word=tf.constant(["a", "new"]), size=tf.constant([3.0, np.nan], tf.float64))
    expected = model.predict_proba(pd.DataFrame({"word": ["a", "new"], "size": [3.0, np.nan]}))
    np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-9)
