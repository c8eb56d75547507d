"""Files of LIBSVM's form: what they say is read, and what is wrong with one is said with its line."""

import gzip
import io
import logging

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from tf_logreg.data import libsvm_text
from tf_logreg.data.load import files, load
from tf_logreg.errors import InputError


def write(folder, text, name="a.libsvm"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def rows(source, split="train"):
    return source.host(np.array(source.splits[split]))


def read(folder, text, **args):
    return load("libsvm", path=write(folder, text), **args)


def test_a_file(tmp_path):
    source = read(tmp_path, "+1 1:0.5 3:-2\n-1 2:1e-3\n+1 1:7 2:8 3:9\n")
    batch = rows(source)
    assert source.class_names == ("-1", "1")
    assert source.feature_names == ("1", "2", "3")
    assert source.sparse
    np.testing.assert_array_equal(batch.x.toarray(), [[0.5, 0, -2], [0, 1e-3, 0], [7, 8, 9]])
    np.testing.assert_array_equal(batch.y, [1, 0, 1])


NUMBERS = [
    "0", "1", "9", "-1", "+3", "12", "123456789", "1234567890123456", "12345678901234567890", "0.1", ".5", "5.", "-.5",
    "1e5", "1E-300", "0.1234567890123456", "123456789.123456789", "9007199254740993", "0.30000000000000004", "1e-320",
    "00012.500", "3.141592653589793238462643", "16777217", "0.000000000000000000001", "99999999.99999999",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_rounded_correctly(tmp_path, number):
    batch = rows(read(tmp_path, f"0 1:{number}\n1 1:0.1 2:{number}\n"))
    assert batch.x.dtype == np.float64
    assert batch.x[0, 0] == batch.x[1, 1] == float(number)


def test_values_that_float32_holds_take_half_the_memory(tmp_path):
    assert rows(read(tmp_path, "0 1:0.5 2:1\n1 2:3\n")).x.dtype == np.float32
    assert rows(read(tmp_path, "0 1:1 2:1\n1 2:1\n")).x.dtype == np.float32


def test_random_rows_are_those_of_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setattr("tf_logreg.data.sources.libsvm._CHUNK", 1000)  # lines are cut anywhere
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(
        300,
        40,
        0.2,
        format="csr",
        random_state=rng,
        data_rvs=lambda n: rng.normal(size=n) * 10.0 ** rng.integers(-9, 9, n),
    )
    x[0, 39] = 1.0
    for zero_based in (False, True):
        text = io.BytesIO()
        dump_svmlight_file(
            x, rng.integers(0, 3, 300), text, zero_based=zero_based, comment="made by scikit-learn"
        )
        for name, content in (("a.txt", text.getvalue()), ("a.txt.gz", gzip.compress(text.getvalue()))):
            path = write(tmp_path, content, name)
            source, (theirs, y) = (
                load("libsvm", path=path, zero_based=zero_based),
                load_svmlight_file(path, zero_based=zero_based),
            )
            assert (rows(source).x != theirs).nnz == 0
            np.testing.assert_array_equal(rows(source).y, y)
            assert source.feature_names[0] == str(int(not zero_based))


def test_ids_count_from_zero_where_one_is_zero(tmp_path):
    assert read(tmp_path, "0 1:1 2:2\n1 3:3\n").feature_names == ("1", "2", "3")
    assert read(tmp_path, "0 1:1 2:2\n1 0:3\n").feature_names == ("0", "1", "2")
    assert read(tmp_path, "0 1:1 2:2\n1 3:3\n", zero_based=True).feature_names == ("0", "1", "2", "3")
    assert read(tmp_path, "0 1:1 2:2\n1 3:3\n", num_features=5).feature_names == ("1", "2", "3", "4", "5")


def test_unsorted_ids_comments_blank_lines_and_ends_of_lines(tmp_path):
    text = "# made by hand: 7:7\n\n+1   3:30\t1:10 \r\n\n-1 2:20 # 1:99\n+1 # nothing at all\n -1 1:1"
    source = read(tmp_path, text)
    np.testing.assert_array_equal(rows(source).x.toarray(), [[10, 0, 30], [0, 20, 0], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(rows(source).y, [1, 0, 1, 0])
    assert [source.place(row).split(" of ")[0] for row in range(4)] == [
        "line 3",
        "line 5",
        "line 6",
        "line 7",
    ]


def test_the_mark_of_utf_8_at_the_start_is_no_label(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbf1 1:1\n0 1:2\n").class_names == ("0", "1")


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        (["+1", "-1", "1.0", "1e0"], ("-1", "1"), [1, 0, 1, 1]),
        (["10", "9", "9", "8"], ("8", "9", "10"), [2, 1, 1, 0]),
        (["spam", "ham", "größe", "spam"], ("größe", "ham", "spam"), [2, 1, 0, 2]),
        (["1", "one", "1", "one"], ("1", "one"), [0, 1, 0, 1]),
    ],
)
def test_labels_of_any_kind(tmp_path, labels, classes, y):
    source = read(tmp_path, "".join(f"{label} 1:1\n" for label in labels))
    assert sorted(source.class_names) == sorted(classes)
    assert [source.class_names[one] for one in rows(source).y] == [classes[one] for one in y]


def test_groups_of_rows(tmp_path):
    source = read(tmp_path, "1 qid:3 1:1\n0 qid:3 2:1\n1 qid:17 1:5\n")
    np.testing.assert_array_equal(source.extras["qid"], [3, 3, 17])
    np.testing.assert_array_equal(rows(source).x.toarray(), [[1, 0], [0, 1], [5, 0]])
    with pytest.raises(InputError, match=r"qid: in each row or in none\. Received: none in line 2 of "):
        read(tmp_path, "1 qid:3 1:1\n0 2:1\n")


def test_several_files_and_splits_share_the_columns(tmp_path, caplog):
    one, two = write(tmp_path, "1 1:1\n", "p-1.txt"), write(tmp_path, "0 2:2\n", "p-2.txt")
    held = write(tmp_path, "0 1:5 4:4\n1 1:1 4:1\n", "held.txt")
    for path in (f"{one},{two}", f"{one}, {two}", str(tmp_path / "p-*.txt")):
        with caplog.at_level(logging.WARNING):
            source = load("libsvm", path=path, test_path=held)
        assert dict(source.splits) == {"train": range(2), "test": range(2, 4)}
        np.testing.assert_array_equal(rows(source).x.toarray(), [[1, 0, 0, 0], [0, 2, 0, 0]])
        np.testing.assert_array_equal(rows(source, "test").x.toarray(), [[5, 0, 0, 4], [1, 0, 0, 1]])
    assert source.place(1) == f"line 1 of {two}"
    assert source.place(3) == f"line 2 of {held}"
    assert "Split 'test': 1 ids, with 2 of its 4 values, never occur in 'train'." in caplog.text
    assert set(files("libsvm", path=path, test_path=held)) == {one, two, held}


BAD = {
    "no label": ("1 1:1\n2:3 4:5\n", r"expected a label, then id:value\. Received: no label, '2:3' in line 2 of "),
    "several labels": ("1,2 1:1\n", "several labels, '1,2' in line 1 of "),
    "text as a value": ("0 1:1\n1 1:abc\n", r"value a finite number\. Received: '1:abc' in line 2 of "),
    "an id twice": ("0 1:1\n1 2:1 1:2 1:3\n", r"expected each id once\. Received: 1 twice in line 2 of "),
    "a negative id": ("0 -1:1\n", r"whole number from 0 to 2147483647\. Received: '-1:1' in line 1 of "),
    "a huge id": ("0 1:1\n1 2147483648:1\n", r"from 0 to 2147483647\. Received: '2147483648:1' in line 2 of "),
    "a longer id": ("0 99999999999999999999:1\n", "Received: '99999999999999999999:1' in line 1 of "),
    "a fraction as an id": ("0 1.5:1\n", r"Received: '1\.5:1' in line 1 of "),
    "a word as an id": ("0 first:1\n", "Received: 'first:1' in line 1 of "),
    "a NaN": ("0 1:1\n\n1 2:nan\n", "Received: '2:nan' in line 3 of "),
    "infinity": ("0 1:1 2:-inf\n", "Received: '2:-inf' in line 1 of "),
    "beyond float64": ("0 1:1 2:1e999\n", "Received: '2:1e999' in line 1 of "),
    "no value": ("0 1: 2:3\n", r"expected id:value\. Received: '1:' in line 1 of "),
    "no id": ("0 1:1 :3\n", "Received: ':3' in line 1 of "),
    "two colons": ("0 1:1\n1 1:2:3\n", "Received: '1:2:3' in line 2 of "),
    "a colon short and one too many": ("0 1:1:1 2\n", "Received: '1:1:1' in line 1 of "),
    "a word without a colon": ("0 1:1\n0 1:1 7\n", "Received: '7' in line 2 of "),
    "an underscore": ("0 1:1_0\n", "Received: '1:1_0' in line 1 of "),
    "qid in the middle": ("0 1:1 qid:1\n", "Received: 'qid:1' in line 1 of "),
    "qid of text": ("0 qid:one 1:1\n", "Received: 'qid:one' in line 1 of "),
    "a fraction as a label": ("1 1:1\n0.5 1:1\n", r"Received: label '0\.5' in line 2 of "),
    "NaN as a label": ("1 1:1\nnan 1:1\n", "Received: label 'nan' in line 2 of "),
    "a label in another coding": (b"ja 1:1\nf\xfcr 1:1\n", "labels in UTF-8.*in line 2 of "),
    "nothing": ("", r"expected lines of label id:value\. Received: none in "),
    "comments alone": ("# nothing\n\n", r"expected lines of label id:value\. Received: none in "),
    "labels alone": ("1\n0\n", "Received: labels alone in "),
    "half a gzip": (gzip.compress(b"1 1:1\n" * 1000)[:-9], "cannot read "),
    "something else": (bytes(range(256)) * 10, "Received: labels alone"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=f"^data.args.path: .*{message}.*a.libsvm'?") as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_ids_outside_what_is_declared(tmp_path, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": 2**34}))
    with pytest.raises(
        InputError, match=r"whole number from 1 to 2147483647\. Received: '0:5' in line 2 of "
    ):
        read(tmp_path, "1 1:1\n0 0:5\n", zero_based=False)
    with pytest.raises(
        InputError, match=r"num_features: expected ids from 1 to 3\. Received: 4 in line 2 of "
    ):
        read(tmp_path, "1 1:1\n0 4:5\n1 1:1\n", num_features=3)
    with pytest.raises(InputError, match=r"fit in memory.* 2147483647 in line 2 of "):
        read(tmp_path, "1 1:1\n0 2147483647:5\n", zero_based=False)
    with pytest.raises(InputError, match=r"zero_based: expected 'auto', True or False\. Received: 'yes'"):
        read(tmp_path, "1 1:1\n", zero_based="yes")


def test_files_that_are_not_there(tmp_path):
    path = write(tmp_path, "1 1:1\n0 2:1\n")
    with pytest.raises(InputError, match=r"data\.args\.path: no such file"):
        load("libsvm", path=f"{path},{tmp_path}/b.txt")
    with pytest.raises(InputError, match=r"data\.args\.test_path: no file has a name of this pattern"):
        load("libsvm", path=path, test_path=f"{tmp_path}/*.gz")
    with pytest.raises(InputError, match="expected each file once"):
        load("libsvm", path=path, validation_path=path)
    with pytest.raises(InputError, match="cannot read"):
        load("libsvm", path=str(tmp_path))


def one_by_one(text):
    """What lines say, read one by one: line, label, ids with their values; None if one is wrong."""
    found = []
    for number, line in enumerate(text.split(b"\n"), 1):
        words = bytes(byte if byte < 9 else max(byte, 32) for byte in line.partition(b"#")[0]).split()
        if not words:
            continue
        row = {}
        for place, word in enumerate(words[1:]):
            name, _, value = word.partition(b":")
            if place == 0 and name == b"qid" and value.isdigit():
                continue
            try:
                good = (
                    name.isdigit()
                    and int(name) < 2**31
                    and int(name) not in row
                    and np.isfinite(float(value))
                )
            except ValueError:
                good = False
            if not good or b"_" in value:
                return None
            row[int(name)] = float(value)
        if b":" in words[0] or b"," in words[0]:
            return None
        found.append((number, words[0], sorted(row.items())))
    return found


def test_changed_bytes_are_read_as_one_by_one_or_refused():
    rng, letters = np.random.default_rng(1), b"0123456789:.-+e# \n\tqa\x00\xff,_"
    whole = b"+1 qid:1 1:0.5 3:-2e3 # c\n-1 qid:2 2:1 7:99\n0 qid:3 1:7 2:.8 3:9.\n"
    outcomes = set()
    for _ in range(3000):
        text = bytearray(whole)
        for at in rng.integers(0, len(whole) - 5, rng.integers(1, 6)):
            letter, kind = letters[rng.integers(len(letters))], rng.integers(3)
            text[at : at + (kind > 0)] = bytes([letter]) if kind < 2 else b""
        expected = one_by_one(bytes(text))
        try:
            lines = libsvm_text.read(bytes(text), 1)
        except libsvm_text.FormError:
            found = None
        else:
            ends = np.cumsum(lines.count)[:-1]
            pairs = zip(np.split(lines.ids, ends), np.split(lines.values, ends), strict=True)
            rows = [list(zip(ids.tolist(), values.tolist(), strict=True)) for ids, values in pairs]
            found = list(zip(lines.line.tolist(), lines.label, rows, strict=True)) if lines.label else []
        assert found == expected, bytes(text)
        outcomes.add(found is None)
    assert outcomes == {True, False}
