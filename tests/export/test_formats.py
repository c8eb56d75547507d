"""Every format gives the answers of the model, to 1e-6: of a table with holes and new values, and of arrays."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import served
from hostile_store import registered
from served import WAYS, dense

from tf_logreg import storage
from tf_logreg.errors import InputError
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.tables import kinds
from tf_logreg.tables.schema import Column, Schema

OTHERS = [name for name in WAYS if name not in ("keras", "saved_model")]


def agrees(way, model, rows, folder):
    """Whether a format has the probabilities of the model and its classes."""
    probabilities, names = WAYS[way](model, rows, folder)
    close = served.CLOSE.get(way, 1e-6)
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=0, atol=close)
    if names is not None:
        # Where two classes are equally probable, but for rounding, either may be the answer.
        best = np.sort(probabilities, axis=1)
        clear = (
            ~(best[:, -1] - best[:, -2] < 4 * close) if model.threshold is None else np.abs(best[:, -1]) >= 0
        )
        assert (np.array(names) == model.predict(rows))[clear].all()


@pytest.mark.parametrize("way", WAYS)
def test_a_table(way, bought, tmp_path):
    _, model, rows = bought
    names = {type(column.kind).__name__ for column in model.schema.columns}
    assert {column.type for column in model.schema.columns} >= {"number", "integer", "word", "date"}
    assert names == {"Numeric", "Bucketized", "Categorical", "Date"}
    assert all(
        rows[column.name].null_count for column in model.schema.used if column.name not in ("income", "Größe")
    )
    agrees(way, model, rows, tmp_path)


def test_a_table_by_predict(bought, tmp_path, command):
    workdir, model, rows = bought
    parquet.write_table(rows, tmp_path / "rows.parquet")
    files = f"--input={tmp_path}/rows.parquet", f"--output={tmp_path}/scores.parquet"
    assert command("--mode=predict", f"--workdir={workdir}", *files)[0] == 0
    found = parquet.read_table(tmp_path / "scores.parquet")
    probabilities = np.stack([found[f"P({name})"].to_numpy() for name in model.class_names], axis=1)
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=0, atol=1e-12)
    assert found["class"].to_pylist() == model.predict(rows).tolist()


@pytest.mark.parametrize("way", WAYS)
def test_arrays(way, tmp_path):
    for k, (output, classes) in enumerate(
        [("sigmoid", 2), ("softmax", 4), ("one_vs_rest", 4), ("one_vs_rest", 2)]
    ):
        folder = tmp_path / str(k)
        folder.mkdir()
        agrees(way, *dense(output, classes), folder)


@pytest.mark.parametrize("way", OTHERS)
def test_every_kind_of_column_but_hashes(way, without_hashes, tmp_path):
    agrees(way, *without_hashes, tmp_path)


@pytest.mark.parametrize("way", [way for way in OTHERS if way != "sql"])
def test_every_kind_of_column(way, every_kind, tmp_path):
    agrees(way, *every_kind, tmp_path)


@pytest.mark.parametrize("way", OTHERS)
def test_thresholds(way, tmp_path):
    for k, (output, threshold) in enumerate(
        [("sigmoid", 0.9), ("one_vs_rest", 0.2), ("softmax", 0.0), ("sigmoid", 1.0)]
    ):
        folder = tmp_path / str(k)
        folder.mkdir()
        model, rows = dense(output, 2)
        agrees(way, dataclasses.replace(model, threshold=threshold), rows, folder)


@pytest.mark.parametrize("way", OTHERS)
def test_large_logits_and_rows_without_an_answer(way, tmp_path):
    for k, (output, classes) in enumerate([("sigmoid", 2), ("softmax", 4), ("one_vs_rest", 4)]):
        folder = tmp_path / str(k)
        folder.mkdir()
        model, rows = dense(output, classes)
        rows = np.array(rows[:40]) * 2.0**10
        rows[3, 4], rows[5, 6] = np.nan, np.inf
        agrees(way, model, rows, folder)


def test_a_run_is_exported_in_every_format(bought, command):
    workdir, model, _ = bought
    for name in WAYS:
        if name not in ("keras", "saved_model"):
            code, out, _ = command("--mode=export", f"--workdir={workdir}", f"--format={name}")
            assert (code, out) == (0, f"{workdir}/model.{name}\n")
    assert json.loads(Path(workdir, "model.json").read_text())["feature_names"] == list(model.feature_names)


def test_flags_that_do_not_go_together(bought, command):
    workdir = f"--workdir={bought[0]}"
    code, _, said = command("--mode=evaluate", workdir, "--format=json")
    assert (code, said) == (2, "--format: expected --mode=export beside it. Received: --mode=evaluate.\n")
    code, _, said = command("--mode=export", workdir, "--format=json", "--version=1")
    assert code == 2
    assert said == "--version: expected --format=saved_model beside it. Received: --format=json, one file.\n"
    assert command("--mode=export", workdir, "--format=pmml")[0] == 2


def test_another_format_and_a_path_that_cannot_be(tmp_path):
    model, _ = dense("sigmoid", 2)
    with pytest.raises(InputError, match=r"format: expected saved_model, onnx.* Received: 'pmml'"):
        model.export(str(tmp_path / "model.pmml"), format="pmml")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="path: cannot write"):
        model.export(str(tmp_path / "file" / "model.json"), format="json")


@pytest.mark.parametrize("way", ["json", "sql"])
def test_sparse_rows_by_name(way, tmp_path):
    model, rows = dense("softmax", 4)
    model.kernel[3:9] = 0
    agrees(way, dataclasses.replace(model, sparse=True), rows * (rows > 0.5), tmp_path)


def test_no_features_and_a_column_that_is_called_as_the_input_of_a_hash(tmp_path):
    columns = Column("zip", "word", kinds.Hashed(2)), Column("zip bucket", "number", kinds.Numeric())
    names, head = Schema(columns).feature_names, Head("sigmoid", 2)
    model = Model(np.ones((3, 1)), np.zeros(1), names, ("a", "b"), head, schema=Schema(columns))
    bare = Model(np.zeros((0, 1)), np.zeros(1), (), ("a", "b"), head, schema=Schema(()))
    for way in ("onnx", "tflite"):
        with pytest.raises(InputError, match=r"format: expected a model with features. Received: none"):
            bare.export(str(tmp_path / "model"), format=way)
    for way in ("json", "onnx"):
        with pytest.raises(
            InputError, match=r"no column that is called 'zip bucket'.* Received: one; rename it"
        ):
            model.export(str(tmp_path / "model"), format=way)


@pytest.mark.parametrize("way", ["json", "saved_model"])
def test_a_store_takes_them(way, tmp_path):
    registered(tmp_path / "store")
    dense("sigmoid", 2)[0].export(f"mem://models/{way}", format=way)
    folder = storage.Folder("mem://models", "path")
    marker = f"{way}/saved_model.pb" if way == "saved_model" else way
    assert folder.holds(marker)
    assert len(folder.read(marker)) > 100


@pytest.mark.parametrize("way", ["json", "sql"])
def test_features_of_one_name(way, tmp_path):
    model, _ = dense("sigmoid", 2)
    twice = dataclasses.replace(model, feature_names=("x",) * 20)
    with pytest.raises(InputError, match=f"different names for '{way}'.* Received: 20 that are called 'x'"):
        twice.export(str(tmp_path / "model"), format=way)
