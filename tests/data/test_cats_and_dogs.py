"""The bundled table: the same at every call, the same from a file, with holes, and no model is always right."""

import subprocess
import sys

import pytest

from tf_logreg.data import cats_and_dogs
from tf_logreg.data.sources import csv
from tf_logreg.estimator import LogisticRegression
from tf_logreg.tables import encoding, frames, inference


def test_a_seed_has_one_table():
    assert cats_and_dogs.table() == cats_and_dogs.table(0) != cats_and_dogs.table(1)
    assert {len(column) for column in cats_and_dogs.table().values()} == {cats_and_dogs.ROWS}


def test_values_are_missing_where_they_should_be():
    for name, column in cats_and_dogs.table().items():
        share = cats_and_dogs.HOLES.get(name, 0)
        assert column.count(None) / len(column) == pytest.approx(share, abs=0.03)
        assert bool(column.count(None)) == bool(share)


def test_a_file_has_the_same_rows(tmp_path):
    path = tmp_path / "pets.csv"
    command = [sys.executable, "-m", "tf_logreg.data.cats_and_dogs"]
    path.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = csv.load(str(path)).columns.to_pydict()
    expected = frames.table_of(cats_and_dogs.table()).columns.to_pydict()
    expected["indoor"] = [value if value is None else str(value).lower() for value in expected["indoor"]]
    assert found == expected


def test_models_are_mostly_right():
    table = frames.table_of(cats_and_dogs.table()).columns
    y = (table["animal"].to_numpy() == "dog").astype(int)
    columns = table.drop_columns(["animal", "id"])
    schema = inference.infer(columns[:320], y[:320], (y[:320] >= 0).astype(float), inference.Rules())
    x = encoding.encode(schema, columns, sparse=False)
    model = LogisticRegression().fit(x[:320], y[:320])
    assert 0.85 <= model.score(x[320:], y[320:]) <= 0.95
