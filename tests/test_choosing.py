"""A path's points are cold fits, its folds are subsets of the rows, its choice is scikit-learn's."""

import warnings

import numpy as np
import pytest
from paths import VALUES, fit_path, stratified
from problems import log_loss, objective, random_problem, solve_arrays
from sklearn.linear_model import LogisticRegressionCV


@pytest.mark.parametrize(
    ("penalty", "classes", "output"),
    [("l2", 2, "auto"), ("l2", 3, "auto"), ("l1", 2, "auto"), ("l1", 3, "auto"), ("l2", 3, "one_vs_rest")],
)
def test_a_point_is_a_cold_fit_of_the_rows_beside_its_fold(strategies, tmp_path, penalty, classes, output):
    """Standardised by those rows alone, with 'balanced' weights of those rows alone."""
    x, y, weight = random_problem(150, 4, classes)
    values = (0.1, 0.01, 0.001) if penalty == "l1" else VALUES
    found = fit_path(
        x, y, weight, strategy=strategies["one_device"], values=values, output=output, class_weight="balanced",
        path__penalty=penalty, l1=0.0,
    )  # fmt: skip
    assert set(found.status.ravel()) == {"optimal"}
    for f, (train, _) in enumerate(stratified(y, 3)):
        if f == 1:
            continue
        for i in (0, 2):
            kernel, bias, result = solve_arrays(
                x[train], y[train], weight[train], strategy=strategies["one_device"], tmp_path=tmp_path,
                output=output, class_weight="balanced", correct_prior=False, tol=1e-12, **{penalty: values[i]},
            )  # fmt: skip
            assert found.objective[i, f] == pytest.approx(result.certificate.objective, abs=1e-11)
            np.testing.assert_allclose(found.kernel[i, f], kernel, atol=1e-5)
            # A number added to every class's bias changes no softmax, and centring chooses it.
            free = (found.bias[i, f] - bias).mean() if classes == 3 and output == "auto" else 0.0
            np.testing.assert_allclose(found.bias[i, f] - free, bias, atol=1e-5)
            assert found.nonzeros[i, f] == np.count_nonzero(kernel)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_standardisation_penalties_are_in_raw_units(strategies, dtype):
    x, y, weight = random_problem(150, 4, 2)
    x = x.astype(dtype)
    found = fit_path(
        x, y, weight, strategy=strategies["one_device"], standardize=False, dtype=dtype, solver__tol=1e-7
    )
    train, _ = stratified(y, 3)[2]
    other = fit_path(
        x[train], y[train], weight[train], strategy=strategies["one_device"], standardize=False,
        validation=np.arange(3), folds=0,
    )  # fmt: skip
    keep = train[3:]
    for i, value in enumerate(VALUES):

        def at(model, i=i, value=value):
            return objective(
                x[train], y[train], model.kernel[i, -1], model.bias[i, -1], l2=value, weight=weight[train]
            )

        assert found.objective[i, 2] == pytest.approx(at(found), abs=1e-9)
        assert found.objective[i, 2] <= at(other) + 1e-7
    assert len(keep) == len(train) - 3


@pytest.mark.parametrize("output", ["auto", "one_vs_rest"])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_the_losses_of_rows_held_out(strategies, classes, output):
    x, y, weight = random_problem(150, 4, classes)
    found = fit_path(x, y, weight, strategy=strategies["one_device"], output=output)
    for f, (_, test) in enumerate(stratified(y, 3)):
        for i in range(len(VALUES)):
            z = x[test] @ found.kernel[i, f] + found.bias[i, f]
            if output == "one_vs_rest":
                chances = 1 / (1 + np.exp(-z))
                chances /= chances.sum(axis=1, keepdims=True)
                loss = -np.log(chances[np.arange(len(test)), y[test]])
            else:
                loss = log_loss(x[test], y[test], found.kernel[i, f], found.bias[i, f])
            assert found.scores[i, f] == pytest.approx(np.average(loss, weights=weight[test]), rel=1e-9)


def test_scores_are_of_the_corrected_model(strategies):
    x, y, _ = random_problem(150, 4, 2)
    y = (np.arange(150) % 5 == 0).astype(np.int32)
    plain, distorted = (
        fit_path(x, y, strategy=strategies["one_device"], class_weight="0=1,1=4", correct_prior=correct)
        for correct in (True, False)
    )
    np.testing.assert_array_equal(plain.kernel, distorted.kernel)
    _, test = stratified(y, 3)[0]
    loss = log_loss(x[test], y[test], plain.kernel[0, 0], plain.bias[0, 0] - np.log(4)).mean()
    assert plain.scores[0, 0] == pytest.approx(loss, rel=1e-9)
    assert distorted.scores[0, 0] > plain.scores[0, 0]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_choice_is_scikit_learns(strategies, classes):
    x, y, _ = random_problem(300, 5, classes)
    strengths = np.logspace(-3, 3, 7)
    cuts = stratified(y, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = LogisticRegressionCV(
            Cs=strengths, cv=cuts, scoring="neg_log_loss", tol=1e-10, max_iter=10_000
        ).fit(x, y)
    # Its penalty is a sum's: every fold here trains on 225 rows.
    assert {len(train) for train, _ in cuts} == {225}
    found = fit_path(
        x,
        y,
        strategy=strategies["one_device"],
        values=tuple(1 / (strengths * 225)),
        folds=4,
        standardize=False,
    )
    peers = -np.mean(list(peer.scores_.values()), axis=0)
    np.testing.assert_allclose(found.scores.T, peers, rtol=1e-6)
    assert strengths[found.choice] == pytest.approx(np.ravel(peer.C_)[0])


def test_a_fold_in_time_trains_on_its_past(strategies, tmp_path):
    x, y, weight = random_problem(160, 4, 2)
    times = np.random.default_rng(0).permutation(160)
    found = fit_path(
        x,
        y,
        weight,
        strategy=strategies["one_device"],
        extras={"t": times},
        data__time="t",
        values=(0.1, 0.01),
    )
    past = np.flatnonzero(times < 80)
    kernel, bias, result = solve_arrays(
        x[past],
        y[past],
        weight[past],
        strategy=strategies["one_device"],
        tmp_path=tmp_path,
        l2=0.01,
        tol=1e-12,
    )
    assert found.objective[1, 1] == pytest.approx(result.certificate.objective, abs=1e-11)
    np.testing.assert_allclose(found.kernel[1, 1], kernel, atol=1e-5)
    test = np.flatnonzero((times >= 80) & (times < 120))
    loss = np.average(log_loss(x[test], y[test], kernel, bias), weights=weight[test])
    assert found.scores[1, 1] == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.long)])
def test_l1_begins_where_the_first_coefficient_enters(strategies, classes):
    x, y, weight = random_problem(150, 5, classes)
    found = fit_path(
        x, y, weight, strategy=strategies["one_device"], values=(), folds=0, validation=np.arange(140, 150),
        path__penalty="l1", path__num=8, path__ratio=0.5, penalty_factor=(1.0, 2.0, 1.0, 1.0, 0.0),
    )  # fmt: skip
    unpenalised = found.kernel.shape[3]
    assert found.nonzeros[0, 0] == unpenalised  # the one that is never penalised
    assert found.nonzeros[1, 0] > unpenalised
    np.testing.assert_allclose(found.values[1:] / found.values[:-1], 0.5 ** (1 / 7))


@pytest.mark.long
def test_strategies_and_streams_agree(strategies):
    x, y, weight = random_problem(150, 4, 3)
    one, two, streamed = (
        fit_path(x, y, weight, strategy=strategies[name], resident=resident)
        for name, resident in (("one_device", True), ("mirrored", True), ("four", False))
    )
    for other in (two, streamed):
        np.testing.assert_allclose(other.kernel, one.kernel, atol=1e-6)
        np.testing.assert_allclose(other.scores, one.scores, rtol=1e-7)
        assert other.choice == one.choice
