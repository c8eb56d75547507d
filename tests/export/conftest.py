"""Models of tables that all formats write, and rows for them with holes and values that training did not have."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
import random_tables

from tf_logreg import config as configs
from tf_logreg import frame_training
from tf_logreg.model.head import Head
from tf_logreg.tables.inference import Rules, infer
from tf_logreg.tables.overrides import crosses, overrides
from tf_logreg.tables.table import plain

ROWS = 1000
CITIES = ("Bern", "Genève", "O'Fallon", 'The "Hague"', "São Paulo", "", None)


def table(seed, *, new=False):
    """Numbers, whole numbers, words, booleans and dates, with holes; and who bought. `new` has other words too."""
    random = np.random.default_rng(seed)
    x, city = (
        random.normal(size=ROWS) * 10,
        random.choice(np.array([*CITIES, *["Elsewhere", "bern"] * new], object), ROWS),
    )
    columns = {
        "hours per week": [None if one < -18 else one for one in x],
        "income": random.exponential(size=ROWS) * 100 - 2 * new,
        "rooms": [None if one == 6 else int(one) for one in random.integers(0, 7, ROWS)],
        "Größe": random.integers(-3, 4, ROWS) / 2,
        "city": city,
        "insured": [(True, False, None)[one] for one in random.integers(0, 3, ROWS)],
        "since": [
            datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=int(h)) if h > 500 else None
            for h in random.integers(0, 9999, ROWS)
        ],
    }
    chosen = x / 10 + (city == "Bern") + random.normal(size=ROWS) > 0.5
    return plain(pa.table({**columns, "bought": np.where(chosen, "yes", "no")}))


@pytest.fixture(scope="session")
def bought(tmp_path_factory):
    """A run on a table, its model, and other rows: with holes, a city and numbers that are new."""
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2 = "", 0, 1e-3
    config.data.columns = {
        "income": "log1p", "rooms": "categorical", "Größe": "bucketized:3", "since": "date", "city": "categorical",
    }  # fmt: skip
    workdir = str(tmp_path_factory.mktemp("bought") / "run")
    model = frame_training.train(table(1), workdir, label="bought", config=config)
    return workdir, model, table(2, new=True).drop_columns("bought")


@pytest.fixture(scope="session")
def every_kind():
    """A model of a table with each kind of column and cross, and rows with what training did not have."""
    random = np.random.default_rng(5)
    schema = random_tables.schema_of(random_tables.table(random, 300), reference=True)
    model = random_tables.model_of(schema, Head("one_vs_rest", 3), random)
    return model, random_tables.table(random, 200, unseen=True)


@pytest.fixture(scope="session")
def without_hashes():
    """The same without hashes and texts, without reference levels, of two classes."""
    random = np.random.default_rng(6)
    found = random_tables.table(random, 300)
    names = found.column_names
    kinds = {
        "log": "log1p", "bucket": "bucketized:4", "code": "categorical", "id": "ignore", "numbers": "categorical", "hash": "categorical", "level": "categorical:3", "say": "ignore", "day": "date", "time": "date", "none": "ignore",
    }  # fmt: skip
    asked = Rules(
        overrides=overrides(kinds, names), crosses=crosses("word x flag, code x word, level x level", names)
    )
    schema = infer(found, np.arange(len(found)) % 2, np.ones(len(found)), asked)
    model = random_tables.model_of(schema, Head("sigmoid", 2), random)
    return model, random_tables.table(random, 200, unseen=True)
