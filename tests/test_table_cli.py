"""Tables on the command line: described, trained on, measured, scored; and what is refused."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from pets import PETS, WITH_TEXT

import tf_logreg
from tf_logreg import config as configs


def kernel(work):
    return np.load(work / "coefficients.npz")["kernel"]


def test_describe(command, pet_files, tmp_path):
    code, out, err = command(
        "--mode=describe", f"--data={pet_files}/pets.csv", "--label=animal", f"--workdir={tmp_path}"
    )
    assert code == 0, err
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "categorical, 4 features" in lines["ears"]
    assert "numeric and 'is missing'" in lines["weight"]
    assert "ignored: a date" in lines["visited"]
    assert "animal: cat" in out
    assert "id: an identifier?" in out
    assert json.loads((tmp_path / "schema.json").read_text())["label"] == "animal"
    without = command("--mode=describe", f"--data={pet_files}/pets.parquet")[1]
    assert "cat 5" not in without
    assert "animal" in without


def test_a_run_says_what_it_did(pet_run):
    result = json.loads((pet_run / "result.json").read_text())
    assert result["status"] == "optimal"
    assert result["metrics"]["test"]["num_rows"] == 96
    assert result["metrics"]["test"]["accuracy"] > 0.8
    assert result["path"]["penalty"] == "l2"
    schema = json.loads((pet_run / "schema.json").read_text())
    assert [column["kind"] for column in schema["columns"] if column["name"] == "note"] == ["text"]


def test_csv_parquet_and_a_frame_give_the_same_bits(command, pet_files, pet_run, tmp_path):
    argv = f"--data={pet_files}/pets.parquet", "--label=animal", f"--workdir={tmp_path}/run", *WITH_TEXT
    assert command(*argv)[0] == 0
    np.testing.assert_array_equal(kernel(tmp_path / "run"), kernel(pet_run))
    config = configs.load("table")
    config.data.columns = {"note": "text:64", "visited": "date"}
    model = tf_logreg.train(PETS, label="animal", config=config)
    np.testing.assert_array_equal(model.kernel, kernel(pet_run))


def test_a_repeated_run_is_not_repeated_and_its_schema_serves_another(command, pet_files, pet_run, tmp_path):
    argv = f"--data={pet_files}/pets.csv", "--label=animal", f"--workdir={pet_run}", *WITH_TEXT
    before = (pet_run / "result.json").stat().st_mtime_ns
    assert command(*argv)[0] == 0
    assert (pet_run / "result.json").stat().st_mtime_ns == before
    part = tmp_path / "part.csv"
    pyarrow.csv.write_csv(PETS.slice(0, 200), part)
    again = (
        f"--data={part}",
        "--label=animal",
        f"--workdir={tmp_path}/again",
        f"--config.data.schema={pet_run}",
    )
    code, _, err = command(*again)
    assert code == 0, err
    assert json.loads((tmp_path / "again/schema.json").read_text()) == json.loads(
        (pet_run / "schema.json").read_text()
    )


def test_what_is_left_out_or_doubtful_is_said(command, pet_files, tmp_path, caplog):
    caplog.set_level("INFO", "tf_logreg")
    assert command(f"--data={pet_files}/pets.csv", "--label=animal", f"--workdir={tmp_path}/run")[0] == 0
    assert "Columns that are left out: 'visited' (a date), 'note' (texts)." in caplog.text
    assert "To look at: id: an identifier?" in caplog.text


def test_what_training_had_not_seen_is_said_where_other_rows_are_measured(
    command, pet_files, pet_run, tmp_path, caplog
):
    caplog.set_level("INFO", "tf_logreg")
    tail = PETS.column_names.index("tail")
    pyarrow.parquet.write_table(
        PETS.set_column(tail, "tail", pa.array([1e6] * len(PETS))), tmp_path / "a.parquet"
    )
    code, _, err = command("--mode=evaluate", f"--data={tmp_path}/a.parquet", f"--workdir={pet_run}")
    assert code == 0, err
    assert f"The rows of the schema had not: tail: {len(PETS)} rows outside training's" in caplog.text


def test_standard_errors_of_a_table(command, pet_files, tmp_path, caplog):
    caplog.set_level("INFO", "tf_logreg")
    left_out = [f"--config.data.columns.{name}=ignore" for name in ("coat", "vet", "id")]
    asked = "--config.inference.cov_type=nonrobust", "--config.inference.tests=('wald','lr')"
    code, out, err = command(
        f"--data={pet_files}/pets.csv", "--label=animal", f"--workdir={tmp_path}/run", *left_out, *asked
    )
    assert code == 0, err
    assert (
        "path.penalty=l2, cv.folds=5, data.test_fraction=0.2 of the config file are not looked" in caplog.text
    )
    model = tf_logreg.load(str(tmp_path / "run"))
    found = model.inference
    for name, std_error in zip(found.features, found.std_error[:, 0], strict=True):
        assert f"{name[:32]}" in out
        assert f"{std_error:.5g}" in out
    with open(tmp_path / "run/coefficients.csv") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["std_error"]) for line in lines] == found.std_error[:, 0].tolist()
    assert [float(line["coefficient"]) for line in lines[:-1]] == model.kernel[:, 0].tolist()
    result = json.loads((tmp_path / "run/result.json").read_text())["inference"]
    assert result["tests"]["lr"]["ears"]["df"] == 3
    assert result["statistics"]["aic"] == pytest.approx(2 * found.rank - 2 * found.log_likelihood)
    assert model.summary() in out


def test_separated_rows_have_no_standard_errors(command, pet_files, tmp_path):
    code, out, err = command(
        f"--data={pet_files}/pets.csv",
        "--label=animal",
        f"--workdir={tmp_path}/run",
        "--config.inference.cov_type=HC0",
    )
    assert code == 0, err
    assert "no standard errors, as the fit is separated, not optimal" in out
    assert tf_logreg.load(str(tmp_path / "run")).inference is None


def test_a_strength_on_the_command_line_is_the_one_that_is_fitted(command, pet_files, tmp_path, caplog):
    caplog.set_level("INFO", "tf_logreg")
    common = f"--data={pet_files}/pets.csv", "--label=animal"
    code, _, err = command(*common, f"--workdir={tmp_path}/a", "--config.l2=1e-3")
    assert code == 0, err
    assert "path.penalty=l2 is not looked at: the command line gives l2." in caplog.text
    result = json.loads((tmp_path / "a/result.json").read_text())
    assert result["path"] is None
    code, _, err = command(*common, f"--workdir={tmp_path}/b", "--config.l2=1e-3", "--config.cv.folds=3")
    assert code == 2
    assert "l2: expected 0.0 with path.penalty='l2'" in err


def test_measured_on_another_file(command, pet_files, pet_run):
    code, out, err = command("--mode=evaluate", f"--data={pet_files}/pets.parquet", f"--workdir={pet_run}")
    assert code == 0, err
    numbers = json.loads((pet_run / "evaluation.json").read_text())["metrics"]["all"]
    assert numbers["num_rows"] == len(PETS)
    model = tf_logreg.load(str(pet_run))
    found = model.evaluate(PETS)
    for name in ("log_loss", "accuracy", "roc_auc"):
        assert found[name] == pytest.approx(numbers[name], abs=1e-6)
    code, out, err = command("--mode=evaluate", f"--workdir={pet_run}")
    assert code == 0, err
    assert "test" in out


BAD = {
    "no label": (["--data={0}/pets.csv"], "data.label: expected the column to predict, one of id, animal"),
    "a label that is not there": (["--data={0}/pets.csv", "--label=animals"], "Did you mean 'animal'?"),
    "a label with holes": (["--data={0}/pets.csv", "--label=ears"], "data.label: expected a value in each row"),
    "a label of fractions": (["--data={0}/pets.csv", "--label=weight", "--config.data.args.missing=('x',)"], "data.label"),
    "weights that are words": (
        ["--data={0}/pets.csv", "--label=animal", "--config.data.weight=coat"], "data.weight: expected numbers",
    ),
    "an override of no column": (
        ["--data={0}/pets.csv", "--label=animal", "--config.data.columns.aeg=ignore"], "Did you mean 'age'?",
    ),
    "an unknown kind": (
        ["--data={0}/pets.csv", "--label=animal", "--config.data.columns.age=magic"], "data.columns.age: expected numeric",
    ),
    "no file": (["--data={0}/none.csv", "--label=animal"], "none.csv"),
    "no schema": (["--data={0}/pets.csv", "--label=animal", "--config.data.schema={0}/none"], "data.schema"),
    "overrides beside a schema": (
        ["--data={0}/pets.csv", "--label=animal", "--config.data.schema={0}", "--config.data.columns.age=ignore"],
        "expected none beside data.schema",
    ),
    "a policy": (["--data={0}/pets.csv", "--label=animal", "--config.data.missing=guess"], "indicator, drop, error"),
    "holes that are errors": (
        ["--data={0}/pets.csv", "--label=animal", "--config.data.missing=error"], "data.missing: expected no missing value",
    ),
    "a label without a table": (["--config=digits", "--label=x"], "--label: expected --data"),
    "fields of tables elsewhere": (["--config=digits", "--config.data.label=x"], "data.label: expected ''"),
    "nothing": ([], "or a table by --data and --label"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refused(command, pet_files, tmp_path, name):
    argv, message = BAD[name]
    code, _, err = command(*(argument.format(pet_files) for argument in argv), f"--workdir={tmp_path}/run")
    assert code == 2
    assert message in err
    assert not (tmp_path / "run").exists()


def test_rows_that_lack_a_value_are_left_out(command, pet_files, tmp_path, caplog):
    caplog.set_level("INFO", "tf_logreg")
    code, _, err = command(
        f"--data={pet_files}/pets.csv", "--label=animal", f"--workdir={tmp_path}/run", "--config.data.missing=drop",
        "--config.data.columns.note=ignore",
    )  # fmt: skip
    assert code == 0, err
    whole = sum(None not in row.values() for row in PETS.drop_columns(["note", "visited"]).to_pylist())
    metrics = json.loads((tmp_path / "run/result.json").read_text())["metrics"]
    assert sum(metrics[role]["num_rows"] for role in ("train", "test")) == whole
    assert "Rows left out, as they lack a value" in caplog.text


def test_a_file_of_test_rows_is_measured(command, pet_files, tmp_path):
    pyarrow.csv.write_csv(PETS.slice(0, 300), tmp_path / "train.csv")
    pyarrow.csv.write_csv(PETS.slice(300), tmp_path / "test.csv")
    code, _, err = command(
        "train", f"--data={tmp_path}/train.csv", "--label=animal", f"--config.data.args.test_path={tmp_path}/test.csv",
        f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 0, err
    metrics = json.loads((tmp_path / "run/result.json").read_text())["metrics"]
    assert {role: values["num_rows"] for role, values in metrics.items()} == {"train": 300, "test": 180}
