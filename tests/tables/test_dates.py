"""Dates as text: the same table gives the same schema and the same bits from CSV, Parquet and frames."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import tf_logreg
from tf_logreg import LogisticRegression
from tf_logreg import config as configs
from tf_logreg.data import load, tabular
from tf_logreg.errors import InputError
from tf_logreg.modes import predict as scoring
from tf_logreg.tables import dates, frames, schema_file

N = 60
DRAW = np.random.default_rng(0)
DAY = pd.date_range("2025-12-01", periods=N).strftime("%Y-%m-%d").to_numpy(object)
TEXTS = {
    "days": DAY,
    "minutes": [f"{day} 12:{k % 60:02}" for k, day in enumerate(DAY)],
    "days and minutes": [day if k % 3 else f"{day}T08:15:30" for k, day in enumerate(DAY)],
    "fractions": [f"{day} 12:00:00.{k:03}" for k, day in enumerate(DAY)],
    "zones": [f"{day}T12:00:00{'Z' if k % 2 else '+02:00'}" for k, day in enumerate(DAY)],
    "holes": [day if k % 4 else "" for k, day in enumerate(DAY)],
    "holes in words": [day if k % 5 else "NA" for k, day in enumerate(DAY)],
    "the first century": ["0001-01-31", *DAY[1:]],
}
WORDS = {
    "zones and none": [f"{day}T12:00:00" + "Z" * (k % 2) for k, day in enumerate(DAY)],
    "times of day": [f"12:{k % 60:02}" for k in range(N)],
    "one that is no date": [*DAY[1:], "soon"],
    "nanoseconds and the first century": ["0001-01-31", *(f"{day} 12:00:00.25" for day in DAY[1:])],
    "levels": ["a", "b"] * (N // 2),
}


def settings(**data):
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2, config.data.label = "", 0, 0.1, "y"
    config.data.update({"min_count": 1, "columns": {"d": "date"}} | data)
    return config


def table(texts):
    return pa.table({"d": list(texts), "x": DRAW.normal(size=N).tolist(), "y": np.arange(N) % 2})


def sources(rows, folder):
    """The same rows from everywhere."""
    pyarrow.csv.write_csv(rows, folder / "a.csv", pyarrow.csv.WriteOptions(quoting_style="needed"))
    pyarrow.parquet.write_table(rows, folder / "a.parquet")
    yield load.load("table", path=str(folder / "a.csv"))
    yield load.load("table", path=str(folder / "a.parquet"))
    for frame in (rows, rows.to_pydict(), rows.to_pandas(), rows.to_pandas().astype({"d": object})):
        yield frames.table_of(frame)


@pytest.mark.parametrize("name", TEXTS)
def test_a_table_is_the_same_wherever_it_is_from(tmp_path, name):
    found = [tabular.read(one, settings())[0] for one in sources(table(TEXTS[name]), tmp_path)]
    assert found[0].schema.column("d").type == "date"
    assert "d (days)" in found[0].feature_names
    rows = [one.host(np.arange(N)) for one in found]
    for other, batch in zip(found[1:], rows[1:], strict=True):
        assert schema_file.to_json(other.schema) == schema_file.to_json(found[0].schema)
        assert batch.x.dtype == rows[0].x.dtype
        np.testing.assert_array_equal(batch.x, rows[0].x)


@pytest.mark.parametrize("name", WORDS)
def test_other_texts_are_words(name):
    column = pa.chunked_array([WORDS[name]])
    assert not dates.are_dates(column)
    schema = tabular.read(frames.table_of(table(WORDS[name])), settings(columns={}))[0].schema
    assert schema.column("d").type == "word"


def test_who_asks_for_words_has_words(tmp_path):
    rows = table([DAY[k % 3] for k in range(N)])
    for said in (
        {"columns": {"d": "categorical"}},
        {"columns": {"d": "hashed:8"}},
        {"columns": {}, "crosses": "d x w"},
    ):
        frame = frames.table_of(rows.append_column("w", pa.array(["a", "b"] * (N // 2))))
        assert tabular.read(frame, settings(**said))[0].schema.column("d").type == "word"
    pyarrow.csv.write_csv(rows, tmp_path / "a.csv")
    args = {"path": str(tmp_path / "a.csv"), "types": ("d:string",)}
    found, _ = tabular.read(load.load("csv", **args), settings(columns={}, source="csv", args=args))
    assert found.feature_names[:3] == tuple(f"d={day}" for day in DAY[:3])


def test_rows_to_predict(tmp_path):
    rows = table(TEXTS["minutes"])
    model = tf_logreg.train(rows.to_pandas(), str(tmp_path / "run"), label="y", config=settings())
    expected = model.predict_proba(rows)
    one = rows.slice(3, 1).to_pandas()
    np.testing.assert_allclose(model.predict_proba(one), expected[3:4], rtol=1e-12)
    times = rows.to_pandas().assign(d=pd.to_datetime(rows["d"].to_pandas()))
    np.testing.assert_array_equal(model.predict_proba(times), expected)
    for missing in ("", None, "NA"):
        assert np.isfinite(model.predict_proba(one.assign(d=[missing]))).all()
    with pytest.raises(InputError, match=r"expected dates in column 'd', as in training. Received: 'soon'"):
        model.predict_proba(one.assign(d="soon"))
    with pytest.raises(
        InputError, match=r"expected dates in column 'd', as in training \(date\). Received: string"
    ):
        model.predict_proba(pa.table({"d": ["2025-12-01T12:00:00Z", "2025-12-01"], "x": [1.0, 2.0]}))
    pyarrow.parquet.write_table(rows, tmp_path / "a.parquet")
    scores = str(tmp_path / "o.parquet")
    scoring.predict(str(tmp_path / "run"), str(tmp_path / "a.parquet"), scores, scoring.Wanted(("d",)))
    found = pyarrow.parquet.read_table(scores)
    np.testing.assert_array_equal(found["P(1)"].to_numpy(), expected[:, 1])
    assert found["d"].to_pylist() == list(TEXTS["minutes"])


def test_words_that_look_like_dates_in_a_few_rows():
    note = [f"2025-01-{k % 5 + 10}" if k % 2 else "word" for k in range(N)]
    model = tf_logreg.train(table(note), label="y", config=settings(columns={}))
    assert np.isfinite(model.predict_proba({"d": ["2025-01-11"], "x": [1.0]})).all()


def test_the_estimator_says_that_a_date_is_left_out():
    rows = table(TEXTS["minutes"]).to_pandas()
    with pytest.warns(UserWarning, match=r"columns that are left out: 'd' \(a date\)"):
        LogisticRegression().fit(rows[["d", "x"]], rows["y"])
