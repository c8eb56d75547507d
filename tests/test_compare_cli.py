"""--mode=compare on the command line: the same rows, told by their digest; others are refused."""

import json

import pytest

from tf_logreg.modes import compare


@pytest.fixture(scope="module")
def runs(pet_files, tmp_path_factory):
    """Three runs on pets.csv: one, one of a stronger penalty, and one with other test rows."""
    from absl import flags

    from tf_logreg import cli

    work = tmp_path_factory.mktemp("compare")
    own = {"a": ["--config.l2=1e-3"], "b": ["--config.l2=1.0"], "c": ["--config.l2=1e-3", "--config.seed=1"]}
    for name, more in own.items():
        argv = ["tf_logreg", f"--data={pet_files}/pets.csv", "--label=animal", f"--workdir={work}/{name}"]
        more = [*more, "--noreport", "--config.data.columns.id=ignore"]
        assert cli.exit_code([*argv, *more], flags.FlagValues()) == 0
    return work


def test_two_runs_on_the_same_rows(command, runs):
    code, out, err = command("--mode=compare", f"--workdir={runs}/a", f"--baseline={runs}/b")
    assert code == 0, err
    found = json.loads((runs / "a" / "compare.json").read_text())
    for name in ("a", "b"):
        result = json.loads((runs / name / "result.json").read_text())["metrics"]["test"]
        key = "workdir" if name == "a" else "baseline"
        for metric in ("log_loss", "accuracy", "roc_auc"):
            assert found["metrics"][metric][key] == pytest.approx(result[metric], rel=1e-5)
    low, high = found["metrics"]["log_loss"]["interval"]
    assert low < found["metrics"]["log_loss"]["difference"] < high < 0
    assert "there: -" in out
    assert ", better" in out
    assert "the same 96 rows (test, digest" in out
    assert found["config"] == {"l2": [0.001, 1.0]}
    assert "    l2: 0.001, 1.0" in out
    assert "coefficients that differ most" in out
    same = compare.compare_runs(f"{runs}/a", f"{runs}/a")
    assert same["metrics"]["log_loss"]["difference"] == 0
    again = command("--mode=evaluate", f"--workdir={runs}/a")  # compare.json is one of ours
    assert again[0] == 0


def test_other_rows_are_refused_unless_both_are_measured_on_given_ones(command, runs, pet_files):
    code, _, err = command("--mode=compare", f"--workdir={runs}/a", f"--baseline={runs}/c")
    assert code == 2
    assert "Received: other test rows of the same data, 96 and 96" in err
    argv = "--mode=compare", f"--workdir={runs}/a", f"--baseline={runs}/c", f"--data={pet_files}/pets.csv"
    code, out, err = command(*argv)
    assert code == 0, err
    assert "the same 480 rows (all, digest" in out


def test_other_weights_are_named(command, runs, pet_files, tmp_path):
    flags = f"--data={pet_files}/pets.csv", "--label=animal", "--config.l2=1e-3", "--config.data.weight=id"
    assert command(*flags, f"--workdir={tmp_path}/run")[0] == 0
    code, _, err = command("--mode=compare", f"--workdir={runs}/a", f"--baseline={tmp_path}/run")
    assert code == 2
    assert "Received: the same rows with other weights (data.weight)" in err, err


def test_refused(command, runs, pet_files, digits_run, tmp_path):
    for baseline, message in (
        ("", "--baseline: expected a directory"),
        (f"{runs}/none", "--baseline: expected a finished run"),
        (digits_run[0], "--baseline: expected a run with the classes cat, dog. Received: 0, 1, 2"),
    ):
        code, _, err = command("--mode=compare", f"--workdir={runs}/a", f"--baseline={baseline}")
        assert code == 2
        assert message in err, err
    argv = f"--data={pet_files}/pets.csv", "--label=animal", "--config.l2=1e-3", "--noreport"
    for name, more, message in (
        ("all", "--config.data.refit=all", "as a model with data.refit='all' was fitted"),
        ("train", "--config.data.test_fraction=0.0", "training rows alone"),
    ):
        assert command(*argv, more, f"--workdir={tmp_path}/{name}")[0] == 0
        code, _, err = command(
            "--mode=compare", f"--workdir={tmp_path}/{name}", f"--baseline={tmp_path}/{name}"
        )
        assert code == 2
        assert message in err, err
