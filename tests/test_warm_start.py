"""A fit that starts from another run says how far above it that run had ended."""

import json

import numpy as np
import pytest
from problems import random_problem


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """150 rows of 4 features and 3 classes, as an .npz."""
    x, y, weight = random_problem(150, 4, 3)
    target = tmp_path_factory.mktemp("arrays") / "a.npz"
    np.savez(target, x=x, y=y, weight=weight)
    return target


@pytest.fixture
def fit(command, arrays, tmp_path):
    """Runs a fit: fit(name, *flags) -> (what it printed, its result)."""

    def run(name, *flags):
        code, out, err = command(
            "--config=numpy_arrays", f"--config.data.args.path={arrays}", "--config.data.test_fraction=0.2",
            "--config.data.validation_fraction=0.0", "--config.l2=0.01", f"--workdir={tmp_path}/{name}", *flags,
        )  # fmt: skip
        assert code == 0, err
        return out, json.loads((tmp_path / name / "result.json").read_text())

    return run


BATCHES = ["--config.solver.name=minibatch", "--config.minibatch.epochs=3"]
A_STEP = ["--config.solver.name=lbfgs", "--config.solver.max_steps=1", "--config.solver.polish=False"]


@pytest.mark.parametrize(
    ("how", "flags"),
    [
        (BATCHES, []),
        (BATCHES, ["--config.l1=0.01"]),
        (BATCHES, ["--config.class_weight=balanced", "--config.correct_prior=False"]),
        (A_STEP, ["--config.model.output=one_vs_rest", "--config.standardize=False"]),
    ],
)
def test_the_start_is_measured_as_its_own_run_was(fit, tmp_path, how, flags):
    _, first = fit("batches", *how, *flags)
    out, result = fit("optimum", *flags, f"--config.solver.warm_start={tmp_path}/batches")
    start = result["start"]
    assert start["objective"] == pytest.approx(first["objective"], rel=1e-5)
    assert start["objective"] > result["objective"]
    for role, numbers in start["metrics"].items():
        assert numbers == pytest.approx({name: first["metrics"][role][name] for name in numbers}, rel=1e-5)
    above = start["objective"] - result["objective"]
    assert (
        f"{tmp_path}/batches, which had ended {above:.1e} nats ({above / result['objective']:.1%}) above the"
        in out
    )
    assert f"test log loss {first['metrics']['test']['log_loss']:.6f} there" in out
    assert first["start"] is None


def test_a_bias_that_class_weights_shifted_is_not_compared(fit, tmp_path):
    fit("batches", *BATCHES, "--config.class_weight=balanced")
    warm = f"--config.solver.warm_start={tmp_path}/batches"
    out, result = fit("optimum", "--config.class_weight=balanced", warm)
    assert result["start"]["objective"] is None
    assert f"started from {tmp_path}/batches: test log loss" in out


def test_with_a_refit_the_start_is_compared_with_the_fit_to_the_same_rows(fit, tmp_path):
    _, first = fit("batches", *BATCHES)
    out, result = fit("all", "--config.data.refit=all", f"--config.solver.warm_start={tmp_path}/batches")
    above = first["objective"] - result["measured"]["objective"]
    assert f"which had ended {above:.1e} nats" in out


def test_a_start_at_the_optimum_and_a_fit_that_stops_before_it(fit, tmp_path):
    fit("optimum")
    out, _ = fit("again", f"--config.solver.warm_start={tmp_path}/optimum")
    assert "optimum, which had ended at the optimum: test" in out
    fit("batches", *BATCHES)
    out, _ = fit("short", *A_STEP, f"--config.solver.warm_start={tmp_path}/batches")
    assert "%) above this fit: test" in out
