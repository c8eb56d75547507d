"""Features of rows by a schema: against what is written out by hand, dense and sparse, in blocks or at once."""

import numpy as np
import pyarrow as pa
import pytest
from table_schemas import all_kinds

from tf_logreg.errors import InputError
from tf_logreg.tables import encoding, kinds, words
from tf_logreg.tables.schema import Column, Cross, Schema
from tf_logreg.tables.table import plain


def encode(columns, *parts, crosses=(), sparse=False):
    return encoding.encode(Schema(tuple(parts), crosses), plain(pa.table(columns)), sparse=sparse)


def column(kind, kind_of="word", name="a"):
    return Column(name, kind_of, kind)


def test_numbers():
    x = pa.array([1.0, None, float("nan"), float("inf"), 4.0])
    found = encode({"a": x}, column(kinds.Numeric(2.0, has_indicator=True), "number"))
    np.testing.assert_array_equal(found, [[1, 0], [2, 1], [2, 1], [2, 1], [4, 0]])
    logs = encode({"a": [0.0, np.e - 1, -1.0]}, column(kinds.Numeric(7.0, is_log=True), "number"))
    np.testing.assert_allclose(logs, [[0], [1], [7]], rtol=1e-15)


def test_levels():
    words = ["x", "y", "new", None, ""]
    for kind, expected in (
        (kinds.Categorical(("x", "y")), [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]),
        (kinds.Categorical(("x", "y"), has_other=True), [[1, 0, 0], [0, 1, 0], *[[0, 0, 1]] * 3]),
        (
            kinds.Categorical(("x", "y"), has_missing=True),
            [[1, 0, 0], [0, 1, 0], [0, 0, 0], *[[0, 0, 1]] * 2],
        ),
        (kinds.Categorical(("x", "y"), has_other=True, reference=0), [[0, 0], [1, 0], *[[0, 1]] * 3]),
    ):
        np.testing.assert_array_equal(encode({"a": words}, column(kind)), expected)
        assert len(kind.features("a")) == len(expected[0])


def test_whole_numbers_and_booleans_as_levels():
    kind = kinds.Categorical(("1", "20"))
    for values in ([20, 1, 3, None], [20.0, 1.0, 3.0, None]):
        np.testing.assert_array_equal(
            encode({"a": values}, column(kind, "integer")), [[0, 1], [1, 0], [0, 0], [0, 0]]
        )
    flags = encode({"a": [True, False, None]}, column(kinds.Categorical(("true", "false")), "boolean"))
    np.testing.assert_array_equal(flags, [[1, 0], [0, 1], [0, 0]])
    with pytest.raises(InputError, match=r"whole numbers in column 'a', .* Received: 1.5 in row 2"):
        encode({"a": [1.0, 1.5]}, column(kind, "integer"))


def test_buckets():
    kind = kinds.Bucketized((1.0, 3.0), has_missing=True)
    found = encode({"a": [0.0, 1.0, 2.9, 3.0, None]}, column(kind, "number"))
    np.testing.assert_array_equal(found.argmax(axis=1), [0, 1, 1, 2, 3])
    assert kind.features("a") == ("a < 1", "a in [1, 3)", "a >= 3", "a is missing")
    against = encode({"a": [0.0, 2.0, 3.0]}, column(kinds.Bucketized((1.0, 3.0), reference=1), "number"))
    np.testing.assert_array_equal(against, [[1, 0], [0, 0], [0, 1]])


def test_hashes_texts_and_crosses():
    found = encode({"a": ["x", "y", None]}, column(kinds.Hashed(7)))
    np.testing.assert_array_equal(found.argmax(axis=1)[:2], words.hashes(("x", "y"), 7))
    assert not found[2].any()
    texts = encode({"a": ["Good, good DOG!", "", None]}, column(kinds.Text(50)))
    good, dog = words.hashes(("good", "dog"), 50)
    assert (texts[0, good], texts[0, dog], texts.sum()) == (2, 1, 3)
    table = {"a": ["x", None], "b": ["u", "v"]}
    parts = column(kinds.Ignored()), column(kinds.Ignored(), name="b")
    pairs = Cross(("a", "b"), kinds.Categorical(("x\x1fu",), has_other=True))
    np.testing.assert_array_equal(encode(table, *parts, crosses=(pairs,)), [[1, 0], [0, 1]])
    assert pairs.features == ("a=x x b=u", "a x b is other")
    hashed = encode(table, *parts, crosses=(Cross(("a", "b"), kinds.Hashed(9)),))
    np.testing.assert_array_equal(hashed.argmax(axis=1), words.hashes(("x\x1fu", "\x1fv"), 9))


def test_dates_lose_no_digit():
    day = np.array(["2026-11-27T06:00", "1970-01-01T00:00", "NaT"], "datetime64[us]")
    found = encode({"a": pa.array(day)}, column(kinds.Date(20000.0), "date"))
    np.testing.assert_array_equal(found[:, 0], [20784.25 - 20000, -20000, 0])


def random_table(n, seed=1):
    rng = np.random.default_rng(seed)
    return {
        "said": [None if k % 9 == 0 else f"word{k % 7} of {k % 3}" for k in range(n)],
        "age": pa.array(rng.integers(0, 300, n), mask=rng.random(n) < 0.1),
        "income": rng.exponential(size=n),
        "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        "city": [f"c{k}" for k in rng.integers(0, 8, n)],
        "zip": [f"z{k}" for k in rng.integers(0, 80, n)],
        "day": rng.integers(0, 9999, n).astype("datetime64[D]"),
        "further": np.zeros(n),
    }


def test_sparse_rows_are_the_dense_ones_and_blocks_change_nothing(monkeypatch):
    schema, table = all_kinds(), plain(pa.table(random_table(300)))
    dense = encoding.encode(schema, table, sparse=False)
    assert dense.shape == (300, len(schema.feature_names))
    sparse = encoding.encode(schema, table, sparse=True)
    assert sparse.has_canonical_format
    np.testing.assert_array_equal(sparse.toarray(), dense)
    monkeypatch.setattr(encoding, "_BLOCK_ROWS", 37)
    np.testing.assert_array_equal(encoding.encode(schema, table, sparse=False), dense)
    np.testing.assert_array_equal(encoding.encode(schema, table, sparse=True).toarray(), dense)
    assert encoding.encode(schema, table.slice(0, 0), sparse=False).shape == (0, dense.shape[1])


def test_float32_is_taken_where_it_holds_every_number():
    number = column(kinds.Numeric(), "number")
    assert encode({"a": [1.0, 0.5, 2.0**24]}, number).dtype == np.float32
    for beyond in (0.1, 2.0**24 + 1):
        assert encode({"a": [1.0, beyond]}, number).dtype == np.float64


def test_columns_that_are_not_as_in_training():
    with pytest.raises(InputError, match=r"expected the column 'a', .* 1 columns without it, but 'aa'"):
        encode({"aa": ["x"]}, column(kinds.Categorical(("x",))))
    with pytest.raises(
        InputError, match=r"expected numbers in column 'a', as in training \(number\). Received: string"
    ):
        encode({"a": ["x"]}, column(kinds.Numeric(), "number"))
    with pytest.raises(InputError, match=r"expected words in column 'a', .*Received: timestamp"):
        encode({"a": np.array(["2020-01-01"], "datetime64[us]")}, column(kinds.Hashed(3)))
    with pytest.raises(InputError, match=r"expected dates in column 'a'"):
        encode({"a": [1.5]}, column(kinds.Date(), "date"))
    for kind, kind_of in (
        (kinds.Numeric(3.0), "number"),
        (kinds.Date(3.0), "date"),
        (kinds.Hashed(2), "word"),
    ):
        assert np.isfinite(encode({"a": [None, None]}, column(kind, kind_of))).all()
