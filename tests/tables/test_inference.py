"""What columns are taken for, what people may say of them, and the schema as a file."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from table_schemas import RNG, N, Y, all_kinds, schema_of

from tf_logreg.errors import InputError
from tf_logreg.tables import kinds, leaks, overrides, schema_file
from tf_logreg.tables.overrides import Override, parse


def kind_of(values, **rules):
    """What a column becomes."""
    return schema_of({"a": pa.array(values), "b": RNG.normal(size=len(values))}, **rules).columns[0].kind


def notes_of(values, y=None, **rules):
    found = schema_of({"a": pa.array(values)}, y, **rules)
    return " ".join(found.columns[0].seen.notes)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (RNG.normal(size=N), "numeric"),
        (RNG.integers(0, 50, N), "numeric"),
        (RNG.integers(0, 2, N), "categorical"),
        (RNG.integers(0, 2, N) == 1, "categorical"),
        ([f"w{k}" for k in RNG.integers(0, 9, N)], "categorical"),
        ([f"id{k}" for k in range(N)], "ignored"),
        ([f"some words of row {k}" for k in range(N)], "ignored"),
        (["same"] * N, "ignored"),
        ([3.5] * N, "ignored"),
        ([None] * N, "ignored"),
        (np.arange(N).astype("datetime64[D]"), "ignored"),
        ([[1, 2]] * N, "ignored"),
    ],
)
def test_what_a_column_is_taken_for(values, name):
    assert kinds.name_of(kind_of(values)) == name


def test_levels_are_the_frequent_ones_from_the_most_frequent():
    words = ["a"] * 80 + ["b"] * 100 + ["c"] * 4 + [None] * 16
    assert kind_of(words) == kinds.Categorical(("b", "a"), has_other=True, has_missing=True)
    assert kind_of(words, min_count=4) == kinds.Categorical(("b", "a", "c"), has_missing=True)
    assert kind_of(words, max_levels=1) == kinds.Categorical(("b",), has_other=True, has_missing=True)
    assert kind_of(words, min_count=17).has_missing is False
    assert kind_of(words, min_count=17).missing == 2  # the place of the other levels
    assert kind_of(words, with_reference=True).reference == 0


def test_without_a_bias_the_first_column_of_levels_keeps_all():
    columns = {"a": ["u", "v"] * 50, "b": ["x"] * 30 + ["y"] * 70, "c": RNG.normal(size=100)}
    found = schema_of(columns, with_reference=True, one_whole=True).columns
    assert [found[0].kind.reference, found[1].kind.reference] == [-1, 1 - found[1].kind.levels.index("x")]
    # What people name is kept.
    named = schema_of(
        columns, with_reference=True, one_whole=True, overrides={"a": parse("categorical:reference=u", "a")}
    )
    assert named.columns[0].kind.reference >= 0


def test_a_missing_number_takes_the_weighted_mean_and_is_a_feature_where_that_is_frequent():
    x = np.where(np.arange(N) < 5, np.nan, np.arange(N, dtype=float))
    weight = RNG.uniform(size=N)
    found = schema_of({"a": x}, weight=weight).columns[0]
    assert found.kind.has_indicator
    assert found.kind.mean == np.float32(x[5:] @ weight[5:] / weight[5:].sum())
    assert (found.seen.missing, found.seen.low, found.seen.high) == (5 / N, 5.0, N - 1.0)
    assert not kind_of(x, min_count=6).has_indicator


def test_buckets_have_about_equal_weight():
    x = np.repeat(np.arange(10.0), 20)
    weight = np.where(x < 5, 3.0, 1.0)
    bucketized = {"a": Override("bucketized", 4)}
    assert kind_of(x, overrides=bucketized).edges == (2.0, 4.0, 7.0)
    found = schema_of({"a": x}, weight=weight, overrides=bucketized).columns[0].kind
    assert found.edges == (1.0, 3.0, 4.0)
    assert found.features("a") == ("a < 1", "a in [1, 3)", "a in [3, 4)", "a >= 4")


def test_hints():
    assert "a code? 7 whole numbers: --config.data.columns.a=categorical" in notes_of(RNG.integers(0, 7, N))
    assert "an identifier?" in notes_of([f"id{k}" for k in range(N)])
    assert "an identifier?" in notes_of(RNG.permutation(N))
    assert "--config.data.columns.a=text" in notes_of([f"some words of row {k}" for k in range(N)])
    assert "--config.data.columns.a=date" in notes_of(np.arange(N).astype("datetime64[D]"))
    assert "--config.data.columns.a=hashed:1000" in notes_of([f"w{k}" for k in np.arange(N) // 2])


def test_a_column_that_tells_the_label_is_a_leak():
    assert "a leak?" in notes_of(Y + 0.1 * RNG.normal(size=N))
    assert "a leak?" in notes_of(np.array(["no", "yes"])[Y])
    assert "a leak?" not in notes_of(Y + RNG.normal(size=N))
    assert "--config.data.columns.a=ignore leaves it out" in notes_of(np.array(["no", "yes"])[Y])
    assert "a leak?" not in notes_of([f"w{k}" for k in RNG.integers(0, 30, N)])


def test_a_level_that_tells_the_label_is_a_leak():
    """How a tip is known, when only those by card are written down."""
    rng = np.random.default_rng(5)
    cash = rng.random(2000) < 0.4
    y = np.where(cash, rng.random(2000) < 0.001, rng.random(2000) < 0.5).astype(int)
    found = leaks.notes(None, kinds.Words(np.where(cash, 0, 1), ("cash", "card")), y)
    assert len(found) == 1
    assert found[0].startswith(f"a leak? of the rows with 'cash', {cash.mean():.0%} of all, all but 0.")
    assert not leaks.notes(None, kinds.Words((rng.random(2000) < 0.4).astype(int), ("card", "cash")), y)
    rare = (rng.random(2000) < 0.05).astype(int)  # most levels are of one class then
    assert not leaks.notes(None, kinds.Words(np.where(cash, 0, 1), ("cash", "card")), rare * ~cash)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numeric", Override("numeric")),
        ("categorical:100", Override("categorical", 100)),
        ("categorical:reference=New York", Override("categorical", reference="New York")),
        ("bucketized:10", Override("bucketized", 10)),
        ("hashed:1000", Override("hashed", 1000)),
        ("text", Override("text", 2**16)),
        ("text:99", Override("text", 99)),
    ],
)
def test_overrides(text, expected):
    assert parse(text, "data.columns.a") == expected


@pytest.mark.parametrize(
    "text", ["", "number", "bucketized", "hashed:", "hashed:1", "log1p:3", "categorical:reference="]
)
def test_overrides_that_are_none(text):
    with pytest.raises(InputError, match=r"data.columns.a: expected numeric, log1p, bucketized:10"):
        parse(text, "data.columns.a")


@pytest.mark.parametrize(
    ("values", "text", "message"),
    [
        (["a", "b"] * 9, "numeric", "expected numbers for 'numeric'. Received: a column of type 'word'"),
        ([0.5, 1.5] * 9, "categorical", "'bucketized:10' makes levels"),
        ([0.5, -1.0] * 9, "log1p", "expected numbers above -1 for 'log1p'. Received: -1"),
        (["a", "b"] * 9, "date", "expected dates"),
        ([1.5] * 18, "bucketized:3", "at least two numbers"),
        (["a", "b"] * 9, "categorical:reference=c", "a reference among its 2 levels. Received: 'c'"),
    ],
)
def test_overrides_that_do_not_fit(values, text, message):
    with pytest.raises(InputError, match=message):
        kind_of(values, overrides={"a": parse(text, "")})


def test_names_of_overrides_and_crosses():
    with pytest.raises(InputError, match=r"data.columns.aeg: expected one of .* Did you mean 'age'"):
        overrides.overrides({"aeg": "ignore"}, ["age", "sex"])
    assert overrides.crosses("a x b:100, b x c", "abc") == (
        overrides.AskedCross(("a", "b"), 100),
        overrides.AskedCross(("b", "c")),
    )
    for text in ("a", "a x b x c", "a x b:1"):
        with pytest.raises(InputError, match="'first x second'"):
            overrides.crosses(text, "abc")
    with pytest.raises(InputError, match="Received: 'd'"):
        overrides.crosses("a x d", "abc")


def test_a_schema_is_read_as_it_was_written():
    schema = all_kinds()
    assert schema_file.of_json(json.loads(schema_file.text(schema)), "here") == schema
    assert len(schema.feature_names) == len(schema.scaled) == len(schema.columns_of_features)
    scaled = np.array(schema.feature_names)[schema.scaled]
    assert scaled.tolist() == ["age", "log1p(income)", "day (days)"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.update(version=2), "expected version 1"),
        (lambda s: s.update(format="x"), "of ours"),
        (lambda s: s.pop("columns"), "'columns' is missing"),
        (lambda s: s["columns"][0].pop("kind"), "'kind' is missing"),
        (lambda s: s["columns"][0].update(kind="magic"), "'magic' is none of the kinds numeric, date"),
        (lambda s: s["columns"][0].update(type="x"), "the type of 'age'"),
        (lambda s: s["columns"][0].update(mean=float("nan")), "the mean of 'age'"),
        (lambda s: s["columns"][3].update(levels=["a", "a"]), "levels of 'city' are not distinct"),
        (lambda s: s["columns"][3].update(reference=9), "reference of 'city'"),
        (lambda s: s["columns"][3].update(kind="numeric"), "'city' of type 'word' cannot be 'numeric'"),
        (lambda s: s["columns"][2].update(edges=[2, 1]), "edges of 'size' do not ascend"),
        (lambda s: s["columns"][4].update(buckets=0), "buckets of 'zip'"),
        (lambda s: s["columns"][1].update(name="age"), "two columns are called 'age'"),
        (lambda s: s["crosses"][0].update(columns=["city", "town"]), "a cross is of 'town'"),
    ],
)
def test_edits_that_cannot_be(edit, message):
    found = schema_file.to_json(all_kinds())
    edit(found)
    with pytest.raises(InputError, match=f"data.schema: .*{message}"):
        schema_file.of_json(found, "schema.json")


def test_an_edited_kind_is_taken():
    found = schema_file.to_json(all_kinds())
    found["columns"][3]["kind"] = "ignored"
    schema = schema_file.of_json(found, "schema.json")
    assert isinstance(schema.column("city").kind, kinds.Ignored)
    assert schema.column("city") in schema.used  # a cross still needs it
    assert not any(name.startswith("city=c") and " x " not in name for name in schema.feature_names)
    assert dataclasses.replace(schema, crosses=()).used == tuple(
        column for column in schema.columns if not isinstance(column.kind, kinds.Ignored)
    )


def test_whole_numbers_with_holes_are_what_they_are_without_floats():
    whole = pa.array([None, *RNG.integers(0, 2, N - 1).tolist()])
    as_floats = np.array(whole.to_numpy(zero_copy_only=False))
    assert kind_of(as_floats) == kind_of(whole)
    assert schema_of({"a": as_floats}).columns[0].type == "integer"


def test_a_value_of_a_few_rows_beside_one_other_tells_nothing():
    assert kinds.name_of(kind_of(["a"] * (N - 4) + ["b"] * 4)) == "ignored"
    assert kinds.name_of(kind_of(["a"] * (N - 5) + ["b"] * 5)) == "categorical"
    assert kinds.name_of(kind_of([None] * (N - 1) + ["b"])) == "ignored"
    rare = [f"w{k}" for k in np.arange(N) // 3]
    assert kind_of(["a"] * N + rare) == kinds.Categorical(("a",), has_other=True)
