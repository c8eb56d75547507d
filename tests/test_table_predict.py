"""Rows of tables scored on the command line: what is written and said, block by block; and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from pets import PETS

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import load
from tf_logreg.modes import predict as scoring
from tf_logreg.tables import csv_pieces


def predict(command, run, rows, output, *more):
    """What `--mode=predict` prints."""
    code, out, err = command(
        "--mode=predict", f"--workdir={run}", f"--input={rows}", f"--output={output}", *more
    )
    assert code == 0, err
    return out


def test_rows_are_scored_in_the_form_of_the_run_or_another(command, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    lines = [f"{a:.3f};{'yes' if b else 'no'}" for a, b in zip(x, x + rng.normal(size=60) > 0, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["x;y", *lines, "none;no"]) + "\n")
    form = "--config.data.args.separator=;", "--config.data.args.missing=('none',)"
    code, _, err = command(
        f"--data={tmp_path}/a.csv", "--label=y", f"--workdir={tmp_path}/run", "--config.l2=1e-2", *form
    )
    assert code == 0, err
    (tmp_path / "b.csv").write_text("id;x\n1;none\n2;0.5\n")
    (tmp_path / "c.csv").write_text("id|x\n1|lost\n2|0.5\n")
    other = "--config.data.args.separator=|", "--config.data.args.missing=('lost',)"
    found = []
    for name, more in (("b", ()), ("c", other)):
        out = predict(
            command,
            tmp_path / "run",
            tmp_path / f"{name}.csv",
            tmp_path / f"s{name}.csv",
            "--explain=1",
            *more,
        )
        assert "explanation: by how much columns moved the log odds; + is towards 'yes'." in out
        found.append((tmp_path / f"s{name}.csv").read_text())
    assert found[0] == found[1]


def test_the_rows_to_score_are_not_replaced_by_their_scores(command, pet_files, pet_run, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_bytes((pet_files / "new.csv").read_bytes())
    code, _, err = command("--mode=predict", f"--workdir={pet_run}", f"--input={rows}", f"--output={rows}")
    assert code == 2
    assert "--output: expected another file than --input" in err
    assert rows.read_bytes() == (pet_files / "new.csv").read_bytes()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_scored_rows(command, pet_files, pet_run, tmp_path, ending, monkeypatch):
    monkeypatch.setattr(scoring, "_BLOCK_ROWS", 100)
    output = tmp_path / f"scores.{ending}"
    out = predict(command, pet_run, pet_files / "new.csv", output, "--keep=id,weight", "--explain=2")
    assert f"{len(PETS)} rows in" in out
    read = pyarrow.parquet.read_table if ending == "parquet" else pyarrow.csv.read_csv
    found = read(output)
    assert found.column_names == ["id", "weight", "class", "P(cat)", "P(dog)", "explanation"]
    model = tf_logreg.load(str(pet_run))
    np.testing.assert_allclose(found["P(dog)"].to_numpy(), model.predict_proba(PETS)[:, 1], rtol=1e-12)
    assert found["class"].to_pylist() == model.predict(PETS).tolist()
    assert all(len(text.split("; ")) == 2 for text in found["explanation"].to_pylist())


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_read_block_by_block_scores_as_the_whole_table(
    pet_files, pet_run, tmp_path, monkeypatch, ending
):
    monkeypatch.setattr(scoring, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(csv_pieces, "SIZE", 1000)
    monkeypatch.setattr(csv_pieces, "_READ", 300)
    wanted = scoring.Wanted(("id", "visited", "note", "indoor"), 1)
    rows = f"{pet_files}/pets.{ending}"
    scoring.predict(str(pet_run), rows, f"{tmp_path}/scores.csv", wanted)
    model = tf_logreg.load(str(pet_run))
    whole = load.load("table", path=rows).with_words(model.schema.word_columns).columns
    expected = [scoring._scored(model, whole.slice(at, 100), wanted)[0] for at in range(0, len(whole), 100)]
    pyarrow.csv.write_csv(pa.concat_tables(expected), tmp_path / "expected.csv")
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_an_error_in_the_last_row_leaves_nothing(command, pet_files, pet_run, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(csv_pieces, "SIZE", 1000)
    text = (pet_files / "new.csv").read_text()
    weight = PETS.drop_columns("animal").column_names.index("weight")
    last = text.splitlines()[-1].split(",")
    last[weight] = "heavy"
    for line, message in ((",".join(last), "numbers in column 'weight', as in training. Received: 'heavy'"),
                          ("1,2", "Received: 2 in")):  # fmt: skip
        (tmp_path / "odd.csv").write_text(f"{text.rstrip()}\n{line}\n")
        argv = f"--workdir={pet_run}", f"--input={tmp_path}/odd.csv", f"--output={tmp_path}/o.csv"
        code, _, err = command("--mode=predict", *argv)
        assert code == 2
        assert message in err
        assert f"row {len(PETS) + 1} of" in err
        assert [path.name for path in tmp_path.iterdir()] == ["odd.csv"]


PEAK = """
import sys
from tf_logreg.modes import predict
from tf_logreg.tables import csv_pieces
predict._BLOCK_ROWS, csv_pieces.SIZE = 2**12, 2**18
predict.predict(sys.argv[1], sys.argv[2], sys.argv[3], predict.Wanted(("id",), 1))
assert "tensorflow" not in sys.modules
# Not ru_maxrss, which begins with that of the process that started this one.
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is told there")
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path, ending):
    frame = PETS.drop_columns(["note", "visited"])
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2 = "", 0, 0.01
    tf_logreg.train(frame, str(tmp_path / "run"), label="animal", config=config)
    peaks = []
    for times in (200, 1600):
        rows = pa.concat_tables([frame] * times).combine_chunks()
        if ending == "csv":
            pyarrow.csv.write_csv(rows, tmp_path / "rows.csv")
        else:
            pyarrow.parquet.write_table(rows, tmp_path / "rows.parquet", row_group_size=2**13)
        argv = tmp_path / "run", tmp_path / f"rows.{ending}", tmp_path / "scores.csv"
        said = subprocess.run([sys.executable, "-c", PEAK, *argv], capture_output=True, text=True, check=True)
        peaks.append(int(said.stdout) / 2**10)
    assert peaks[1] - peaks[0] < 30  # MiB; read as a whole, 672,000 rows more take 60 and above


def test_contributions_add_up_to_the_logit(pet_run):
    model = tf_logreg.load(str(pet_run))
    x = model.encode(PETS.slice(0, 5))
    count = len(model.schema.columns)
    texts = scoring.explanations(model, x, np.zeros(5, int), count)
    sums = [sum(float(part.rpartition(" ")[2]) for part in text.split("; ")) for text in texts]
    average = model.mean @ model.kernel + model.bias
    np.testing.assert_allclose(sums, (model.logits(PETS.slice(0, 5)) - average)[:, 0], atol=0.02)


def test_what_training_had_not_seen(command, pet_files, pet_run, tmp_path):
    weight = PETS.column_names.index("weight")
    strange = PETS.drop_columns("animal")
    strange = strange.set_column(strange.column_names.index("ears"), "ears", pa.array(["horns"] * len(PETS)))
    strange = strange.set_column(weight - 1, "weight", pa.array([900.0] * 400 + [None] * 80))
    pyarrow.parquet.write_table(strange, tmp_path / "strange.parquet")
    out = predict(command, pet_run, tmp_path / "strange.parquet", tmp_path / "o.csv")
    assert "ears: 480 rows with levels that training had not, or rarely: 'horns'" in out
    assert "weight: 400 rows outside training's" in out
    assert "weight: 16.7% missing" in out


def test_rows_beyond_all_numbers_have_no_class(command, tmp_path):
    x = np.random.default_rng(0).normal(size=200) * 1e-6  # so that its coefficient is about a million
    label = (x > 0) ^ (np.arange(200) % 9 == 0)
    pyarrow.parquet.write_table(pa.table({"x": x, "y": label}), tmp_path / "small.parquet")
    assert command(f"--data={tmp_path}/small.parquet", "--label=y", f"--workdir={tmp_path}/run")[0] == 0
    pyarrow.parquet.write_table(pa.table({"x": [1e307, -1e307, 0.0]}), tmp_path / "huge.parquet")
    out = predict(command, tmp_path / "run", tmp_path / "huge.parquet", tmp_path / "o.parquet")
    lost = pyarrow.parquet.read_table(tmp_path / "o.parquet")["class"].null_count
    assert (f"No class: {lost} rows" in out) == (lost > 0)
    assert lost == 2


def test_refused_to_score(command, pet_files, pet_run, tmp_path):
    pyarrow.csv.write_csv(PETS.drop_columns("weight"), tmp_path / "less.csv")
    for argv, message in (
        (["--input={0}/less.csv", "--output={0}/o.csv"], "expected the column 'weight'"),
        (["--input={1}/new.csv", "--output={0}/o.xlsx"], "--output: expected a name that ends in .csv"),
        (["--input={1}/new.csv"], "--output: expected a file"),
        (["--input={1}/none.csv", "--output={0}/o.csv"], "--input: expected a file. Received: "),
        (["--output={0}/o.csv"], "--input: expected a file"),
        (
            ["--input={1}/new.csv", "--output={0}/o.csv", "--keep=what"],
            "--keep: expected columns of the input",
        ),
        (
            ["--input={1}/pets.csv", "--output={0}/o.csv", "--keep=P(cat)"],
            "--keep: expected other columns than those of the output (class, P(cat)",
        ),
    ):
        given = (argument.format(tmp_path, pet_files) for argument in argv)
        code, _, err = command("--mode=predict", f"--workdir={pet_run}", *given)
        assert (code, message in err) == (2, True), err
    assert not list(tmp_path.glob("o.*"))
    assert not list(tmp_path.glob(".writing*"))


def test_codes_that_look_like_numbers_stay_words(command, tmp_path):
    """'1E5' and '1.10' are codes where training had words; alone in a file they look like numbers."""
    codes, rng = ["1E5", "1.10", "A7", "007"], np.random.default_rng(0)
    code = rng.integers(0, 4, 200)
    label = (code + rng.normal(size=200) > 1.5).astype(int)
    rows = [f"{codes[c]},{y}" for c, y in zip(code, label, strict=True)]
    (tmp_path / "train.csv").write_text("\n".join(["code,y", *rows]))
    (tmp_path / "new.csv").write_text("code,y\n1E5,0\n1.10,1\n1E5,1\n")
    run = f"--workdir={tmp_path}/run"
    assert command(f"--data={tmp_path}/train.csv", "--label=y", run)[0] == 0
    scores = tmp_path / "scores.csv"
    out = predict(command, tmp_path / "run", tmp_path / "new.csv", scores)
    assert "Training had not seen" not in out
    expected = tf_logreg.load(f"{tmp_path}/run").predict_proba({"code": ["1E5", "1.10", "1E5"]})
    found = pyarrow.csv.read_csv(scores)
    np.testing.assert_allclose(found["P(1)"].to_numpy(), expected[:, 1], rtol=1e-12)
    code, out, err = command("--mode=evaluate", run, f"--data={tmp_path}/new.csv")
    assert code == 0, err
    log_loss = -np.log(expected[[0, 1, 2], [0, 1, 1]]).mean()
    numbers = json.loads((tmp_path / "run/evaluation.json").read_text())["metrics"]["all"]
    assert numbers["log_loss"] == pytest.approx(log_loss, rel=1e-5)


def test_the_offset_of_a_run_is_measured_with_and_not_predicted_with(command, tmp_path, caplog):
    rng = np.random.default_rng(0)
    x, offset = rng.normal(size=300), rng.normal(size=300)
    y = (x + offset + rng.logistic(size=300) > 0).astype(int)
    pyarrow.csv.write_csv(pa.table({"x": x, "o": offset, "w": np.ones(300), "y": y}), tmp_path / "a.csv")
    data, run = f"--data={tmp_path}/a.csv", f"--workdir={tmp_path}/run"
    code, _, err = command(
        data,
        "--label=y",
        run,
        "--config.data.offset=o",
        "--config.data.weight=w",
        "--config.data.test_fraction=0.0",
    )
    assert code == 0, err
    caplog.set_level("INFO", "tf_logreg")
    assert command("--mode=evaluate", run, data)[0] == 0
    assert "--config.data.weight=w weighs them as the run did" in caplog.text
    numbers = json.loads((tmp_path / "run/evaluation.json").read_text())["metrics"]["all"]
    trained = json.loads((tmp_path / "run/result.json").read_text())["metrics"]["train"]
    assert numbers["log_loss"] == pytest.approx(trained["log_loss"], rel=1e-6)
    out = predict(command, tmp_path / "run", tmp_path / "a.csv", tmp_path / "s.csv")
    assert "data.offset='o' is not added" in out
