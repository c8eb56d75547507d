"""`model.sql`: what it refuses, how it quotes names, and that wide models are not nested too deep."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
import served
from served import dense

from tf_logreg.errors import InputError
from tf_logreg.export import terms
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.tables import kinds
from tf_logreg.tables.schema import Column, Cross, Schema


def of_kind(*columns, crosses=()):
    """A model of a table with zero coefficients."""
    schema = Schema(columns, crosses, label="class")
    count = len(schema.feature_names)
    return Model(
        np.zeros((count, 1)), np.zeros(1), schema.feature_names, ("a", "b"), Head("sigmoid", 2), schema=schema
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (of_kind(Column("zip", "word", kinds.Hashed(9))), "'zip', hashed.*make it categorical"),
        (of_kind(Column("note", "word", kinds.Text(9))), "'note', a text.*leave it out"),
        (
            of_kind(
                Column("a", "word", kinds.Ignored()),
                Column("b", "word", kinds.Ignored()),
                crosses=(Cross(("a", "b"), kinds.Hashed(9)),),
            ),
            "'a x b', hashed.*data.crosses",
        ),
    ],
)
def test_hashes_are_refused(model, said, tmp_path):
    with pytest.raises(InputError, match=f"expected no hashes for 'sql'.* Received: {said}.*or take 'json'"):
        model.export(str(tmp_path / "model.sql"), format="sql")


def test_names_that_are_taken_or_have_quotes(tmp_path):
    model, rows = dense("sigmoid", 2)
    names = ("class", "P(a)", 'say "x"', "it's", "r", "answers", "n0", *model.feature_names[7:])
    model = dataclasses.replace(model, feature_names=names)
    probabilities, classes = served.by_sql(model, rows, tmp_path)
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), atol=1e-14)
    assert classes == model.predict(rows).tolist()
    text = (tmp_path / "model.sql").read_text()
    assert 'AS "P(a)_"' in text
    assert 'AS "class_"' in text
    said = json.loads(text.splitlines()[2].removeprefix("-- "))
    assert said == {"label": "", "feature_names": list(names), "class_names": ["a", "b"], "threshold": None}


def test_more_features_than_brackets_may_be_deep(tmp_path):
    random = np.random.default_rng(0)
    names = tuple(f"x{k}" for k in range(300))
    model = Model(random.normal(size=(300, 1)) / 50, np.zeros(1), names, ("a", "b"), Head("sigmoid", 2))
    rows = random.normal(size=(3, 300))
    np.testing.assert_allclose(served.by_sql(model, rows, tmp_path)[0], model.predict_proba(rows), atol=1e-13)


def test_a_model_without_columns_and_numbers_of_other_types(tmp_path):
    number = Column(
        "n", "integer", kinds.Categorical(("3", "-4", "no number", "03"), has_other=True, has_missing=True)
    )
    truth = Column("b", "boolean", kinds.Numeric(0.25, has_indicator=True))
    model = of_kind(number, truth)
    model.kernel[:] = np.arange(len(model.kernel))[:, None] + 0.5
    rows = pa.table({"n": [3, -4, 5, None, 3], "b": [True, False, None, True, None]})
    found = served.by_sql(model, rows, tmp_path)[0]
    np.testing.assert_allclose(found, model.predict_proba(rows), atol=1e-14)
    bare = of_kind(Column("x", "number", kinds.Ignored()))
    assert terms.terms_of(bare) == []
    np.testing.assert_allclose(served.by_sql(bare, rows, tmp_path)[0], 0.5)
