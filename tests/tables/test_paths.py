"""The files that a path stands for."""

import os

import pytest

from tf_logreg.errors import InputError
from tf_logreg.tables.paths import files_of_splits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in (
        "a.csv", "b.csv", "c,d.csv", "all/2.csv", "all/1.csv.gz", "all/x.txt", "all/_SUCCESS", "all/.1.csv", "all/deep/3.CSV",
        "hive/year=2024/m=01/a.csv", "hive/year=2025/m=__HIVE_DEFAULT_PARTITION__/a.csv", "hive/year=a%2Fb/m=1/a.csv",
        "hive/_temporary/a.csv", "empty/x.txt",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(path):
    return [file.path for file in files_of_splits(path, "", "", (".csv", ".csv.gz"))["train"]]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.csv", ["a.csv"]),
        ("b.csv, a.csv", ["b.csv", "a.csv"]),
        ("c,d.csv", ["c,d.csv"]),
        ("[ab].csv", ["a.csv", "b.csv"]),
        ("all", ["all/1.csv.gz", "all/2.csv", "all/deep/3.CSV"]),
        ("all/*.csv,a.csv", ["all/2.csv", "a.csv"]),
        ("all/**/*.csv", ["all/2.csv"]),
        ("all/../a.csv", ["all/../a.csv"]),
        ("all/x.txt", ["all/x.txt"]),
        ("?.csv,all/../c*.csv", ["a.csv", "b.csv", "all/../c,d.csv"]),
    ],
)
def test_paths(folder, path, expected):
    assert train(path) == expected


def test_partitions_of_folders(folder):
    files = files_of_splits("hive", "", "", (".csv",))["train"]
    assert [file.partitions for file in files] == [
        (("year", "2024"), ("m", "01")),
        (("year", "2025"), ("m", None)),
        (("year", "a/b"), ("m", "1")),
    ]
    (file,) = files_of_splits("hive/year=2024/*/a.csv", "", "", (".csv",))["train"]
    assert file.partitions == (("m", "01"),)


def test_links_are_followed_and_each_file_is_read_once(folder):
    os.symlink(folder / "a.csv", folder / "all" / "link.csv")
    os.symlink(folder / "all", folder / "all" / "deep" / "loop")
    assert train("all") == ["all/1.csv.gz", "all/2.csv", "all/deep/3.CSV", "all/link.csv"]
    os.symlink(folder / "a.csv", folder / "aa.csv")
    assert train("a*.csv") == ["a.csv"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("", "", ""), "data.args.path: expected a file, a folder or a pattern. Received: ''"),
        (("no.csv", "", ""), "data.args.path: expected a file. Received: 'no.csv'; no such file"),
        (("a.csv", "no*", ""), "data.args.validation_path: .* 'no[*]'; no file has a name of this pattern"),
        (("a.csv", "", "empty"), "data.args.test_path: .*'empty'; no file in this folder ends with .csv or"),
        (("a.csv,,b.csv", "", ""), "data.args.path: expected a file between two commas"),
        (("a.csv", "", "a.csv"), "data.args: expected each file once. Received: 'a.csv' twice"),
        (("a.csv", "", "all/../a.csv"), "once. Received: 'all/../a.csv' twice, which is 'a.csv' too"),
        (("a.csv", "s3://b/c.csv", ""), "data.args.validation_path: expected a path, or an address of"),
        (("pipe.csv", "", ""), "data.args.path: expected a regular file. Received: 'pipe.csv'"),
    ],
)
def test_bad_paths(folder, paths, message):
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(InputError, match=message):
        files_of_splits(*paths, (".csv", ".csv.gz"))
