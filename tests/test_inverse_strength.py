"""Penalties by scikit-learn's C: each fold's l2 is a cold fit's, scores and choices are scikit-learn's."""

import csv
import json
import warnings

import numpy as np
import pytest
from paths import fit_path, stratified
from problems import log_loss, random_problem, saga, solve_arrays
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from tf_logreg import config as configs

INVERSE = (1e-3, 1e-2, 0.1, 1.0, 10.0)


def by_inverse(x, y, weight=None, **fields):
    """A path by C; 147 rows make folds of unequal sums of weights."""
    given = {"values": (), "path__C": INVERSE, "folds": 4, "standardize": False} | fields
    return fit_path(x, y, weight, **given)


@pytest.mark.parametrize(("classes", "output"), [(2, "auto"), (3, "auto"), (3, "one_vs_rest")])
def test_each_fold_has_its_own_l2_and_is_a_cold_fit(strategies, tmp_path, classes, output):
    x, y, weight = random_problem(147, 4, classes)
    common = {"output": output, "class_weight": "0=3,1=0.5", "correct_prior": False}
    found = by_inverse(x, y, weight, strategy=strategies["one_device"], **common)
    weight_of_class = np.where(y == 0, 3, np.where(y == 1, 0.5, 1)) * weight
    assert found.C.tolist() == list(INVERSE)
    np.testing.assert_allclose(found.values, 1 / (found.C * weight_of_class.sum()), rtol=1e-14)
    for f, (train, _) in enumerate(stratified(y, 4)):
        np.testing.assert_allclose(found.l2[:, f], 1 / (found.C * weight_of_class[train].sum()), rtol=1e-14)
    train, _ = stratified(y, 4)[3]
    kernel, _, result = solve_arrays(
        x[train], y[train], weight[train], strategy=strategies["one_device"], tmp_path=tmp_path, C=0.1,
        standardize=False, tol=1e-12, **common,
    )  # fmt: skip
    assert found.objective[2, 3] == pytest.approx(result.certificate.objective, abs=1e-11)
    np.testing.assert_allclose(found.kernel[2, 3], kernel, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "balanced_accuracy", "roc_auc"])
def test_scores_and_choices_are_scikit_learns(strategies, classes, metric):
    x, y, weight = random_problem(147, 4, classes)
    names = {"log_loss": "neg_log_loss", "roc_auc": "roc_auc" if classes == 2 else "roc_auc_ovr"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = LogisticRegressionCV(
            Cs=INVERSE, cv=stratified(y, 4), scoring=names.get(metric, metric), tol=1e-10, max_iter=10_000,
            solver="newton-cholesky",
        ).fit(x, y, weight)  # fmt: skip
    found = by_inverse(x, y, weight, strategy=strategies["one_device"], cv__metric=metric)
    theirs = next(iter(peer.scores_.values())).reshape(4, -1).T
    np.testing.assert_allclose(found.scores, -theirs if metric == "log_loss" else theirs, rtol=1e-6)
    assert found.C[found.choice] == np.ravel(peer.C_)[0]


def test_one_standard_error_of_a_score_that_is_better_higher(strategies):
    x, y, weight = random_problem(147, 4, 2)
    found = by_inverse(
        x, y, weight, strategy=strategies["one_device"], cv__metric="roc_auc", cv__choose="one_standard_error"
    )
    mean, best = found.scores.mean(axis=1), found.scores.mean(axis=1).argmax()
    within = mean >= mean[best] - found.scores[best].std(ddof=1) / 2
    assert found.choice == within.argmax() < best


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "roc_auc"])
def test_scores_of_one_against_the_rest(strategies, monkeypatch, metric):
    """By validation rows, which have no folds, and a few logits at a time."""
    x, y, weight = random_problem(150, 4, 3)
    test = np.arange(100, 150)
    found = by_inverse(
        x, y, weight, strategy=strategies["one_device"], output="one_vs_rest", folds=0, validation=test,
        cv__metric=metric, evaluate__max_bytes=8 * 50 * 3 * 2,
    )  # fmt: skip
    for i in range(len(INVERSE)):
        p = 1 / (1 + np.exp(-(x[test] @ found.kernel[i, 0] + found.bias[i, 0])))
        p, named = p / p.sum(axis=1, keepdims=True), p.argmax(axis=1)
        expected = {
            "accuracy": lambda named=named: np.average(named == y[test], weights=weight[test]),
            "balanced_accuracy": lambda named=named: balanced_accuracy_score(
                y[test], named, sample_weight=weight[test]
            ),
            "roc_auc": lambda p=p: roc_auc_score(y[test], p, multi_class="ovr", sample_weight=weight[test]),
        }
        assert found.scores[i, 0] == pytest.approx(expected[metric](), rel=1e-12)


def test_an_elastic_net_is_sagas(strategies):
    x, y, _ = random_problem(147, 4, 2)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    ratios, inverse = (0.9, 0.0, 0.4), (0.01, 0.1, 1.0)
    found = by_inverse(
        x, y, strategy=strategies["one_device"], path__penalty="elastic_net", path__C=inverse, folds=3,
        path__l1_ratios=ratios,
    )  # fmt: skip
    assert found.C.tolist() == np.repeat(inverse, 3).tolist()
    assert found.l1_ratio.tolist() == list(ratios) * 3
    assert set(found.status.ravel()) == {"optimal"}
    train, test = stratified(y, 3)[1]
    for i, (inverse, ratio) in enumerate(zip(found.C, found.l1_ratio, strict=True)):
        peer = saga(ratio, C=inverse, tol=1e-12, max_iter=100_000).fit(x[train], y[train])
        np.testing.assert_allclose(found.kernel[i, 1], peer.coef_.T, atol=1e-6)
        loss = log_loss(x[test], y[test], found.kernel[i, 1], found.bias[i, 1]).mean()
        assert found.scores[i, 1] == pytest.approx(loss, rel=1e-9)
    means = found.scores.mean(axis=1)
    assert found.choice == means.argmin()


def test_without_a_penalty_at_the_end(strategies):
    x, y, _ = random_problem(150, 4, 2)
    found = by_inverse(x, y, strategy=strategies["one_device"], path__C=(1.0, np.inf))
    assert (found.l2[1] == 0).all()
    assert found.C[1] == np.inf


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """90 rows of 3 features, 2 classes, with weights of about 1e30, as an .npz."""
    x, y, weight = random_problem(90, 3, 2)
    target = tmp_path_factory.mktemp("arrays") / "a.npz"
    np.savez(target, x=x, y=np.array(["no", "yes"])[y], weight=weight * 2.0**100)
    return target


def flags(arrays, run, *more):
    given = ["--config=numpy_arrays", f"--config.data.args.path={arrays}", "--config.data.test_fraction=0.0"]
    return [*given, f"--workdir={run}", *more]


def test_both_are_written_and_printed(command, arrays, tmp_path):
    """The sum is of the weights as they were given; the config file's l2 gives way to the command line's C."""
    run = tmp_path / "run"
    weights = ["--config.class_weight=yes=2", "--config.correct_prior=False"]
    code, _, err = command(*flags(arrays, run, "--config.C=1e-30", "--config.l1_ratio=0.25", *weights))
    assert code == 0, err
    found = json.loads((run / "result.json").read_text())
    with np.load(arrays) as a:
        total = (a["weight"] * np.where(a["y"] == "yes", 2, 1)).sum()
    assert found["C"] == pytest.approx(1e-30, rel=1e-12)
    assert found["l1"] == pytest.approx(0.25 / (1e-30 * total), rel=1e-12)
    assert found["l2"] == pytest.approx(0.75 / (1e-30 * total), rel=1e-12)

    code, out, err = command(
        *flags(arrays, run, "--overwrite", "--config.path.penalty=elastic_net", "--config.path.C=(1e-32,1e-30)",
               "--config.path.l1_ratios=(0.5,0.0)", "--config.cv.folds=3", "--config.cv.metric=roc_auc")
    )  # fmt: skip
    assert code == 0, err
    path = json.loads((run / "result.json").read_text())["path"]
    assert path["C"] == [1e-32, 1e-32, 1e-30, 1e-30]
    assert path["metric"] == "roc_auc"
    assert path["choice"] == np.mean(path["scores"], axis=1).argmax()
    mean = np.mean(path["scores"][path["choice"]])
    assert f"(C={path['C'][path['choice']]:.3g}, l1_ratio={path['l1_ratio'][path['choice']]:.3g})" in out
    assert f"held-out roc auc {mean:.6f}" in out
    with (run / "path.csv").open() as file:
        lines = list(csv.DictReader(file))
    for name in ("l1", "l2"):
        assert [float(line[name]) for line in lines] == np.ravel(path[name]).tolist()
    assert [float(line["C"]) for line in lines[::3]] == path["C"]


PATH = ["--config.path.penalty=l2", "--config.cv.folds=3"]
BAD = {
    "both": (["--config.C=1.0", "--config.l2=0.1"], "C: expected 0.0 beside l1 or l2. Received: 1.0, l1=0.0, l2=0.1"),
    "negative": (["--config.C=-1.0"], "C: expected a finite number > 0, or 0.0 for none. Received: -1.0"),
    "a share of nothing": (["--config.l1_ratio=0.5"], "l1_ratio: expected 0.0 without C"),
    "no share": (["--config.C=1.0", "--config.l1_ratio=1.5"], "l1_ratio: expected a share in [0, 1]. Received: 1.5"),
    "one and many": ([*PATH, "--config.C=1.0"], "C: expected 0.0 with path.penalty='l2'"),
    "infinite": (["--config.C=inf"], "C: expected a finite number > 0, or 0.0 for none. Received: inf"),
    "both of many": ([*PATH, "--config.path.C=(1.0,)", "--config.path.values=(1.0,)"], "path.C: expected () beside path.values"),
    "falling": ([*PATH, "--config.path.C=(1.0,0.1)"], "path.C: expected numbers in increasing order"),
    "zero": ([*PATH, "--config.path.C=(0.0,1.0)"], "path.C: expected finite numbers > 0"),
    "alone": (["--config.path.C=(0.1,1.0)"], "path.C: expected () without path.penalty"),
    "no shares": (
        ["--config.path.penalty=elastic_net", "--config.path.C=(1.0,)", "--config.cv.folds=3"],
        "path.l1_ratios: expected shares in [0, 1] with path.penalty='elastic_net'",
    ),
    "no strengths": (
        ["--config.path.penalty=elastic_net", "--config.path.l1_ratios=(0.5,)", "--config.cv.folds=3"],
        "path.C: expected numbers, or path.values",
    ),
    "shares of l2": ([*PATH, "--config.path.l1_ratios=(0.5,)"], "expected () without path.penalty='elastic_net'"),
    "a share twice": ([*PATH, "--config.path.l1_ratios=(0.5,0.5)"], "path.l1_ratios: expected each share once"),
    "a smooth method": (
        ["--config.C=1.0", "--config.l1_ratio=0.5", "--config.solver.name=newton"], "or minibatch with l1 > 0",
    ),
    "logits beyond memory": (
        [*PATH, "--config.cv.metric=roc_auc", "--config.evaluate.max_bytes=239"],
        "cv.metric: 'roc_auc' keeps the logits of a fold in memory, 240 bytes for 30 rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_inverses(command, arrays, tmp_path, case):
    given, message = case
    code, _, err = command(*flags(arrays, tmp_path / "run", *given))
    assert code == 2
    assert message in err
    assert not (tmp_path / "run").exists()


def test_held_out_rows_without_a_class_have_no_area(command, tmp_path):
    x, y, _ = random_problem(60, 3, 3)
    groups = np.where(y == 2, np.arange(60) % 2, np.arange(60) % 3)
    np.savez(tmp_path / "a.npz", x=x, y=y, g=groups)
    more = [*PATH, "--config.data.group=g", "--config.cv.metric=roc_auc"]
    code, _, err = command(*flags(tmp_path / "a.npz", tmp_path / "run", *more))
    assert code == 2
    assert (
        "cv.metric: expected held-out rows of every class for 'roc_auc'. Received: none of '2' in fold" in err
    )


def test_the_plan_takes_a_penalty_by_its_inverse():
    config = configs.get_config()
    config.path.penalty, config.path.C, config.path.l1_ratios = "elastic_net", (0.1, 1.0), (0.0, 0.5, 1.0)
    config.cv.folds = 5
    configs.validate(config)
    assert configs.num_problems(config, 3) == 30
