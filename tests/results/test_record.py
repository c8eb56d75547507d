"""The fields of `result.json`: what a run writes, what is demanded of what is read, and the tables of the docs."""

import dataclasses
import json
import re
import types
import typing
from pathlib import Path

import numpy as np
import pytest

from tf_logreg.fit.path import path as paths
from tf_logreg.results import path as path_files
from tf_logreg.results import record, record_faults

DESIGN = (Path(__file__).parents[2] / "docs" / "design.md").read_text()
TABLES = {
    "`result.json`": record.Result,
    "`metrics` of a split": record.Metrics,
    "`path`": record.Path,
    "`measured`": record.Measured,
    "`dependence`": record.Dependence,
    "`distance`": record.Distance,
    "`bootstrap`": record.Bootstrap,
    "`start`": record.Start,
    "`threshold`": record.Threshold,
    "`prior`": record.Prior,
}
WORDS = {str: "text", int: "whole number", float: "number"}


@pytest.fixture
def written(digits_run):
    """What the run of digits left."""
    return json.loads(Path(digits_run[0], "result.json").read_text())


@pytest.fixture(scope="module")
def path():
    """What a path of two strengths beside three folds has in `result.json`."""
    numbers = np.arange(6.0).reshape(2, 3)
    found = paths.Path(
        penalty="l2", values=np.array([1.0, 0.1]), C=np.array([1.0, np.inf]), l1_ratio=np.zeros(2), l1=numbers,
        l2=numbers, metric="log_loss", scores=numbers, choice=1, kernel=np.zeros((2, 3, 4, 1)),
        bias=np.zeros((2, 3, 1)), status=np.full((2, 3), "optimal"), objective=numbers, nonzeros=np.full((2, 3), 4),
        certified_gap=np.array([[np.nan, 0, 0], [0, np.inf, 0]]), passes=numbers, steps=numbers, iterations=9, note="",
    )  # fmt: skip
    return path_files.summary(found)


def test_a_run_writes_the_fields_with_their_types(written):
    assert record_faults.faults(written) == []
    assert list(written) == [field.name for field in dataclasses.fields(record.Result)]


def test_a_path_and_dependent_columns_have_their_fields(written, path):
    written |= {"path": path, "dependence": {"rank": 2, "columns": 3, "features": ["a", "b"]}}
    assert record_faults.faults(json.loads(json.dumps(written, allow_nan=False))) == []


def test_what_is_written_is_what_was_given(written):
    some = {
        "seconds": {"fit": 2.0, "data": 1.0},
        "path": {"scores": [[0.5, 1.0]]},
        "absent_classes": ("a", "b"),
    }
    none = {
        "gradient_bound": np.inf,
        "seconds": {"fit": np.nan, "data": 1.0},
        "path": {"scores": [[-np.inf, 1.0]]},
    }
    expected = {**written, **some, "absent_classes": ["a", "b"]}
    assert record.to_json(record.Result(**{**written, **some})) == expected
    expected |= {
        "gradient_bound": None,
        "seconds": {"fit": None, "data": 1.0},
        "path": {"scores": [[None, 1.0]]},
    }
    assert record.to_json(record.Result(**{**written, **some, **none})) == expected


def test_a_missing_or_unknown_field_is_an_error_at_once(written):
    with pytest.raises(TypeError, match="colour"):
        record.Result(**written, colour="red")
    del written["solver"]
    with pytest.raises(TypeError, match="solver"):
        record.Result(**written)


WRONG = {
    "status": 1,
    "objective": "small",
    "num_workers": 1.5,
    "absent_classes": ["a", 1],
    "dependence": {"rank": 1, "columns": 2},
    "path": [],
    "metrics": {"train": {"num_rows": 3}},
    "versions": {"keras": 3},
}


@pytest.mark.parametrize("name", WRONG)
def test_other_types_are_named(written, name):
    found = record_faults.faults({**written, name: WRONG[name]})
    assert found
    assert all(re.split(r"[.\[]", fault)[0] == name for fault in found)


def test_faults_have_their_place(written, path):
    written["metrics"]["train"]["roc_auc"] = "good"
    written["path"] = {**path, "scores": [[1.0, None], [1.0, "x"]], "colour": "red"}
    assert record_faults.faults(written) == ["path.scores[1][1]", "path.colour", "metrics.train.roc_auc"]


def test_of_an_older_version_only_what_is_printed_is_demanded(written):
    older = {name: value for name, value in written.items() if name not in ("absent_classes", "seconds")}
    older |= {"certificate": None, "time": 3.0}
    for numbers in older["metrics"].values():
        del numbers["pr_auc"], numbers["per_class"]
    assert record_faults.faults(older, older=True) == []
    del older["start"], older["measured"]
    assert record_faults.faults(older, older=True) == []
    assert record_faults.faults({**older, "start": {"workdir": "a"}}, older=True) == [
        "start.objective",
        "start.metrics",
    ]
    del older["metrics"]["test"]["log_loss"], older["message"]
    assert sorted(record_faults.faults(older, older=True)) == ["message", "metrics.test.log_loss"]


def rows(heading):
    """(name, type, meaning, null) of each line of the table under a heading of docs/design.md."""
    section = DESIGN.split(f"\n### {heading}\n")[1].split("\n#")[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line[:1] == "|"
    ]
    return lines[2:]


@pytest.mark.parametrize("heading", TABLES)
def test_the_docs_have_the_fields_and_no_others(heading):
    fields = typing.get_type_hints(TABLES[heading])
    assert sorted(name for name, *_ in rows(heading)) == sorted(f"`{name}`" for name in fields)
    for name, kind, meaning, null in rows(heading):
        hint = fields[name.strip("`")]
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        if kinds[0] in WORDS:
            assert kind.split(",")[0] == WORDS[kinds[0]], name
            assert bool(null) == (types.NoneType in kinds), name
        assert meaning, name
