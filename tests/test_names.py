"""Names of features and classes: any text, told apart where two are equal, refused where one must choose."""

import numpy as np
import pytest

from tf_logreg import names
from tf_logreg.data import labels, views
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import with_offset
from tf_logreg.errors import InputError

X = np.arange(12.0).reshape(4, 3)
ROWS = np.arange(4)


def source(y=(0, 1, 2, 1), class_names=("a", "b", "c"), columns=("p", "q", "r"), **extras):
    return from_arrays(X, np.array(y), class_names=class_names, feature_names=columns, extras=extras)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([b"benign", "b\u00f6se".encode()]), ("benign", "b\u00f6se")),
        (np.array(["", "x"]), ("", "x")),
        (np.array([1, 20], ">i8"), ("1", "20")),
        (np.array([0.5, 2], np.float32), ("0.5", "2.0")),
        (np.array(["a, b", "c=d", "\u5b57"]), ("a, b", "c=d", "\u5b57")),
    ],
)
def test_names_of_any_kind(given, expected):
    assert names.read(given, "feature_names") == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.array("x"), r"shape \(\)"),
        (np.array([["x", "y"]]), r"shape \(1, 2\)"),
        (np.array([1 + 2j]), "dtype complex128"),
        (np.array(["fine", "half \ud800 pair"]), r"'half \\ud800 pair' in row 1"),
        (np.array([b"fine", b"b\xf6se"]), r"b'b\\xf6se' in row 1"),
    ],
)
def test_names_that_cannot_be_written(given, message):
    with pytest.raises(InputError, match=f"feature_names: expected .*Received: {message}"):
        names.read(given, "feature_names")


def test_names_are_told_apart_by_position():
    assert names.told_apart(("crane", "", "crane", "swan")) == ("crane #0", "#1", "crane #2", "swan")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1e300, 2e300, 1e300], (str(int(1e300)), str(int(2e300)))),
        ([2.0**63, 2.0**63 + 2**11, 2.0**64], ("9223372036854775808", "9223372036854777856", "18446744073709551616")),
        ([-1e19, 1e19], ("-10000000000000000000", "10000000000000000000")),
        (np.array([2**64 - 1, 2**63], np.uint64), ("9223372036854775808", "18446744073709551615")),
        (np.array([3, 1, 3], np.longdouble), ("1", "3")),
        (np.array([3, 1, 3], ">f2"), ("1", "3")),
        ([0.0, -0.0, 1.0], ("0", "1")),
        (["", "a"], ("", "a")),
    ],
)  # fmt: skip
def test_labels_of_any_size(given, expected):
    given = np.asarray(given)
    y, found = labels.encode(given)
    assert found == expected
    np.testing.assert_array_equal(
        [float(found[k] or "nan") for k in y] if given.dtype.kind in "fu" else y,
        given.astype(float) if given.dtype.kind in "fu" else [0, 1],
    )


def test_shortened():
    assert names.shortened("a  b\n c", 32) == "a b c"
    assert names.shortened("0123456789", 10) == "0123456789"
    assert names.shortened("0123456789x", 10) == "0123...89x"


@pytest.mark.parametrize(
    ("given", "class_names", "message"),
    [
        (np.array([b"a", b"\xff"]), (), r"b'\\xff' in row 1"),
        (np.array(["a", "\udc80", "a"]), (), r"'\\udc80' in row 1"),
        (np.array(["crane", "swan"]), ("crane", "swan", "crane"), "'crane', the name of classes 0 and 2"),
        (np.array([1, np.longdouble("1e400")]), (), r"1e\+400 in row 1"),
        (np.array([1e300, 0]), ("a", "b"), r"1e\+300 in row 0"),
    ],
)
def test_labels_that_cannot_be_classes(given, class_names, message):
    with pytest.raises(InputError, match=f"y: .*{message}"):
        labels.encode(given, class_names)


def test_indices_need_no_unique_names():
    y, found = labels.encode(np.array([2, 0, 1]), ("crane", "swan", "crane"))
    assert y.tolist() == [2, 0, 1]
    assert found == ("crane", "swan", "crane")
    y, _ = labels.encode(np.array(["swan", "swan"]), ("crane", "swan", "crane"))
    assert y.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("given", "class_names", "expected"),
    [
        ([1, 2, 3], ("1", "2", "3"), [0, 1, 2]),  # names, since 3 is no index
        ([0, 1, 2], ("1", "2", "3"), [0, 1, 2]),  # indices, since 0 is no name
        ([2.0, 1.0], ("0", "1", "2"), [2, 1]),  # the same either way
        ([-1, 1], ("1", "-1"), [1, 0]),
        ([0, 1], ("10", "x"), [0, 1]),
    ],
)
def test_numbers_are_indices_or_names_that_are_numbers(given, class_names, expected):
    assert labels.encode(np.array(given), class_names)[0].tolist() == expected


@pytest.mark.parametrize(
    ("given", "class_names"),
    [([1, 2], ("1", "2", "3")), ([0, 1], ("1", "0")), ([True, False], ("True", "False"))],
)
def test_numbers_that_may_be_indices_or_names_of_other_classes(given, class_names):
    with pytest.raises(InputError, match="either indices into class_names or names"):
        labels.encode(np.array(given), class_names)
    assert labels.encode(np.array(given), class_names, indices=True)[0].tolist() == [int(v) for v in given]


def test_features_are_brought_into_order_by_name():
    same = views.with_columns(source(), ("r", "p", "q"))
    np.testing.assert_array_equal(same.host(ROWS).x, X[:, [2, 0, 1]])
    np.testing.assert_array_equal(same.read(ROWS).x, X[:, [2, 0, 1]])
    assert same.feature_names == ("r", "p", "q")
    twins = source(columns=("p", "p", "q"))
    assert views.with_columns(twins, ("p", "p", "q")) is twins


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("p", "q", "s"), "3 features. Received: 3, without 's' and with 'r'"),
        (("p", "q"), "2 features. Received: 3, with 'r'"),
        (("p", "q", "r", "s"), "4 features. Received: 3, without 's'"),
        (("q", "q", "p", "r"), "in its order, since several are called 'q'"),
    ],
)
def test_features_that_are_not_the_runs(columns, message):
    with pytest.raises(InputError, match=message):
        views.with_columns(source(), columns)


def test_features_that_differ_beyond_the_twentieth_are_named():
    columns = tuple(f"f{j}" for j in range(60))
    wide = from_arrays(np.zeros((2, 60)), np.array([0, 1]), class_names=("a", "b"), feature_names=columns)
    with pytest.raises(InputError, match=r"without 'g' and with 'f50'\.$"):
        views.with_columns(wide, (*columns[:50], "g", *columns[51:]))


def test_classes_of_one_name_keep_their_positions():
    crane = source(class_names=("crane", "swan", "crane"))
    assert views.with_classes(crane, ("crane", "swan", "crane")) is crane
    with pytest.raises(InputError, match="'crane', the name of classes 0 and 2"):
        views.with_classes(crane, ("swan", "crane", "crane"))
    with pytest.raises(InputError, match="'crane', the name of classes 0 and 2"):
        views.with_classes(crane, ("crane", "swan"))
    # A class without rows is no matter: the two cranes are the first two of what is there.
    four = source(class_names=("crane", "owl", "crane", "swan"), y=(0, 2, 3, 2))
    found = views.with_classes(four, ("crane", "crane", "swan"), np.array([True, False, True, True]))
    assert found.labels(ROWS).tolist() == [0, 1, 2, 1]
    assert found.absent_classes == ("owl",)


def test_a_positive_class_that_is_both():
    with pytest.raises(InputError, match=r"data\.positive_class.*'x', the name of classes 0 and 1"):
        views.with_positive_class(source(y=(0, 1, 1, 0), class_names=("x", "x")), "x")


def test_offsets_stay_with_their_classes():
    """A column for each class in the order of the file, whatever the order of the model's classes."""
    offset = np.arange(12.0).reshape(4, 3)
    given = source(o=offset)
    for class_names, present in ((("c", "a", "b"), None), (("a", "c"), np.array([True, False, True]))):
        found = views.with_classes(given, class_names, present)
        found = with_offset(found, "o", len(class_names))
        order = [("a", "b", "c").index(name) for name in class_names]
        np.testing.assert_array_equal(found.host(ROWS).offset, offset[:, order])
    with pytest.raises(InputError, match="a value for class 'd'"):
        with_offset(views.with_classes(given, ("a", "b", "c", "d")), "o", 4)
