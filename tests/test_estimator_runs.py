"""`LogisticRegression` with a work directory, and beside the command line: one road."""

import json

import numpy as np
import pytest
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning

import tf_logreg
from tf_logreg import LogisticRegression
from tf_logreg.errors import InterruptError
from tf_logreg.fit.full_batch import saving
from tf_logreg.names import told_apart


@pytest.mark.parametrize(
    "flags", [{}, {"l1_ratio": 0.5}, {"class_weight": "balanced", "fit_intercept": False}]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_command_line_gives_the_same_bits(command, tmp_path, flags, dtype):
    data = datasets.load_breast_cancer()
    names = dict(fit_intercept="model.bias")
    given = [f"--config.{names.get(name, name)}={value}" for name, value in flags.items()]
    code, _, error = command(
        "--config=breast_cancer", "--config.data.positive_class=benign", "--config.data.test_fraction=0.0", "--config.data.validation_fraction=0.0",
        "--config.l2=0.0", "--config.C=0.5", "--config.standardize=False", "--config.correct_prior=False",
        f"--dtype={dtype}", f"--workdir={tmp_path / 'run'}", *given,
    )  # fmt: skip
    assert code == 0, error
    ours = LogisticRegression(C=0.5, dtype=dtype, **flags).fit(data.data, data.target)
    theirs = tf_logreg.load(str(tmp_path / "run"))
    np.testing.assert_array_equal(ours.coef_, theirs.kernel.T)
    np.testing.assert_array_equal(ours.intercept_, theirs.bias)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {
        name: ours.result_[name] for name in ("status", "objective", "relative_gap", "passes", "engine")
    } == {name: result[name] for name in ("status", "objective", "relative_gap", "passes", "engine")}


def test_a_work_directory_has_the_files_of_a_run(tmp_path):
    x, y = datasets.load_iris(return_X_y=True, as_frame=True)
    y = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    model = LogisticRegression(workdir=tmp_path / "run").fit(x, y)
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        "config.json", "result.json", "coefficients.npz", "coefficients.csv", "metrics.npz", "model.keras", "export",
    }  # fmt: skip
    assert model.result_ == json.loads((tmp_path / "run" / "result.json").read_text())
    loaded = tf_logreg.load(str(tmp_path / "run"))
    assert loaded.feature_names == tuple(told_apart(tuple(x.columns)))
    np.testing.assert_array_equal(loaded.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    # Again: what is there is read. Other rows are another run.
    again = LogisticRegression(workdir=tmp_path / "run").fit(x, y)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    assert again.result_["seconds"] == model.result_["seconds"]
    with pytest.raises(ValueError, match=r"'X' has changed since the run .* Give another directory"):
        LogisticRegression(workdir=tmp_path / "run").fit(x + 1, y)
    with pytest.raises(ValueError, match=r"workdir: .* holds a run of another config"):
        LogisticRegression(C=2.0, workdir=tmp_path / "run").fit(x, y)
    with pytest.raises(ValueError, match="warm_start: expected False with workdir"):
        LogisticRegression(warm_start=True, workdir=tmp_path / "run").fit(x, y)
    options = {"solver": "lbfgs", "max_iter": 2, "workdir": tmp_path / "short"}
    with pytest.warns(ConvergenceWarning, match=r"raise max_iter, .* or lower C, with another workdir"):
        LogisticRegression(**options).fit(x, y)


def test_an_interrupted_fit_resumes_with_the_same_bits(tmp_path, monkeypatch):
    x, y = datasets.load_digits(return_X_y=True)
    unbroken = LogisticRegression().fit(x, y)
    real, left = saving.Saving.after_pass, [20]

    def after_pass(self):
        left[0] -= 1
        if left[0] == 0:
            self._save()
            raise InterruptError("the same command resumes")
        real(self)

    monkeypatch.setattr(saving.Saving, "after_pass", after_pass)
    model = LogisticRegression(workdir=tmp_path / "run")
    with pytest.raises(InterruptError, match="the same call of fit resumes"):
        model.fit(x, y)
    left[0] = 10**9
    model.fit(x, y)
    np.testing.assert_array_equal(model.coef_, unbroken.coef_)
    assert left[0] > 10**9 - unbroken.result_["passes"] + 10  # the first twenty were not repeated
