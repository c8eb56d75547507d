"""Standard errors, tests and statistics of fits are those of statsmodels and of textbooks; else they are refused."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import statsmodels.api as sm
from fitted_errors import DEVICES, cancer, fitted, noisy_iris, planted, spector
from problems import sparse_rows

from tf_logreg import config as configs
from tf_logreg.data import arrays
from tf_logreg.data import dataset as make
from tf_logreg.data.source import with_offset
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status
from tf_logreg.model import inference as inferences
from tf_logreg.model import summary

PEER = dict(disp=0, tol=1e-14, maxiter=200, warn_convergence=False)


@pytest.mark.parametrize("data", [spector, cancer, lambda: planted(2)], ids=["spector", "cancer", "planted"])
def test_two_classes_are_statsmodels(data):
    x, y = data()
    found = fitted(x, y).model.inference
    peer = sm.Logit(y, np.c_[x, np.ones(len(y))]).fit(**PEER)
    for ours, theirs in (
        (found.theta, peer.params),
        (found.std_error, peer.bse),
        (found.z, peer.tvalues),
        (found.p_value, peer.pvalues),
        (np.hstack(found.interval), peer.conf_int()),
    ):
        np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=1e-6, atol=1e-12)
    numbers = found.statistics()
    assert numbers["wald"] == pytest.approx(
        float(peer.wald_test(np.eye(x.shape[1] + 1)[:-1], scalar=True).statistic)
    )
    ours = [found.log_likelihood, found.null_log_likelihood]
    ours += [numbers[name] for name in ("aic", "bic", "llr", "llr_p_value", "mcfadden")]
    theirs = [peer.llf, peer.llnull, peer.aic, peer.bic, peer.llr, peer.llr_pvalue, peer.prsquared]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert found.error < 1e-5


@pytest.mark.parametrize("data", [noisy_iris, lambda: planted(4)], ids=["iris", "planted"])
@pytest.mark.parametrize("reference", ["", "2"])
def test_several_classes_are_statsmodels(data, reference):
    x, y = data()
    found = fitted(x, y, reference=reference).model.inference
    order = {"": np.arange(y.max() + 1), "2": np.array([2, *np.delete(np.arange(y.max() + 1), 2)])}[reference]
    peer = sm.MNLogit(np.argsort(order)[y], np.c_[x, np.ones(len(y))]).fit(**PEER)
    assert found.outputs == tuple(str(k) for k in order[1:])
    assert found.reference == str(order[0])
    np.testing.assert_allclose(found.theta, peer.params, rtol=1e-6)
    np.testing.assert_allclose(found.std_error, peer.bse, rtol=1e-6)
    np.testing.assert_allclose(found.covariance, peer.cov_params(), rtol=1e-6)
    np.testing.assert_allclose(found.log_likelihood, peer.llf, rtol=1e-9)


@pytest.mark.parametrize("data", [spector, cancer], ids=["spector", "cancer"])
def test_robust_errors_of_two_classes(data):
    x, y = data()
    n, k = len(y), x.shape[1] + 1
    group = np.arange(n) % 9
    design = np.c_[x, np.ones(n)]
    rows = sm.Logit(y, design).fit(**PEER, cov_type="HC0").bse
    clusters = dict(cov_type="cluster", cov_kwds={"groups": group})
    by_group = sm.Logit(y, design).fit(**PEER, **clusters).bse  # with both factors
    for cov_type, expected in (
        ("HC0", rows),
        ("HC1", rows * np.sqrt(n / (n - k))),
        ("cluster_small", by_group),
        ("cluster", by_group / np.sqrt((n - 1) / (n - k))),
    ):
        given = group if cov_type.startswith("cluster") else None
        found = fitted(x, y, group=given, cov_type=cov_type).model.inference
        np.testing.assert_allclose(found.std_error[:, 0], expected, rtol=1e-6, err_msg=cov_type)


def test_robust_errors_of_several_classes_are_forty_lines_of_numpy():
    x, y = noisy_iris()
    group = np.arange(150) % 12
    design = np.c_[x, np.ones(150)]
    by_row, by_group = (
        fitted(x, y, cov_type=cov_type, group=given).model.inference
        for cov_type, given in (("HC0", None), ("cluster", group))
    )
    z = np.c_[np.zeros(150), design @ by_row.theta]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    score = ((np.eye(3)[y] - p)[:, 1:, None] * design[:, None, :]).reshape(150, -1)
    information = np.zeros((10, 10))
    for row, chances in zip(design, p[:, 1:], strict=True):
        information += np.kron(np.diag(chances) - np.outer(chances, chances), np.outer(row, row))
    bread = np.linalg.inv(information)
    np.testing.assert_allclose(by_row.covariance, bread @ score.T @ score @ bread, rtol=1e-6)
    sums = np.array([score[group == g].sum(axis=0) for g in range(12)])
    np.testing.assert_allclose(by_group.covariance, 12 / 11 * bread @ sums.T @ sums @ bread, rtol=1e-6)


def known(found):
    return {name: value for name, value in found.statistics().items() if value is not None}


def test_weights_are_repetitions_or_those_of_a_sample():
    x, y = spector()
    weight = np.random.default_rng(0).integers(1, 4, len(y)).astype(float)
    again = np.repeat(np.arange(len(y)), weight.astype(int))
    for cov_type in ("nonrobust", "HC0", "HC1"):
        weighted = fitted(x, y, weight=weight, cov_type=cov_type).model.inference
        repeated = fitted(x[again], y[again], cov_type=cov_type).model.inference
        np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-8)
        assert known(weighted) == pytest.approx(known(repeated), rel=1e-9)
    # Weights of a sample have no unit.
    one, other = (
        fitted(x, y, weight=weight * factor, cov_type="HC0", weights="sampling").model.inference
        for factor in (1, 4)
    )
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-8)
    assert known(one) == pytest.approx(known(other))
    assert one.statistics()["aic"] is None  # the weights of a sample make no likelihood


def test_rows_and_groups_without_weight_are_not_there():
    x, y = noisy_iris()
    weight, group = np.ones(150), np.arange(150) // 10
    weight[:40] = 0
    for cov_type in ("HC1", "cluster_small"):
        given = (group, group[40:]) if cov_type.startswith("cluster") else (None, None)
        common = dict(cov_type=cov_type, weights="sampling")
        whole = fitted(x, y, weight=weight, group=given[0], **common).model.inference
        fewer = fitted(x[40:], y[40:], group=given[1], **common).model.inference
        np.testing.assert_allclose(whole.covariance, fewer.covariance, rtol=1e-7)
        assert whole.num_rows == 110


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e9, 1e15])
def test_units_change_no_test(unit):
    x, y = spector()
    found, plain = (fitted(x * factor, y).model.inference for factor in (unit, 1.0))
    np.testing.assert_allclose(found.z, plain.z, rtol=1e-6)
    np.testing.assert_allclose(found.std_error[:-1] * unit, plain.std_error[:-1], rtol=1e-6)
    chi2, df = found.wald(np.arange(4))
    assert (chi2, df) == (pytest.approx(plain.wald(np.arange(4))[0], rel=1e-6), 4)


def test_few_groups_test_no_more_coefficients_than_they_can(caplog):
    x, y = spector()
    found = fitted(x, y, group=np.arange(len(y)) % 2, cov_type="cluster").model.inference
    assert "2 groups are few for 4 coefficients" in caplog.text
    assert found.wald(np.arange(3)) == (0.0, 0)
    assert found.statistics()["wald"] is None


def test_likelihood_ratio_score_and_wald_tests_of_a_feature():
    x, y = spector()
    found = fitted(x, y, tests=("wald", "lr", "score")).model.inference
    whole = sm.Logit(y, np.c_[x, np.ones(len(y))]).fit(**PEER)
    for j in range(3):
        fewer = sm.Logit(y, np.c_[np.delete(x, j, axis=1), np.ones(len(y))]).fit(**PEER)
        name = f"feature_{j}" if f"feature_{j}" in found.tests["lr"] else list(found.tests["lr"])[j]
        chi2, df = found.tests["lr"][name]
        assert chi2 == pytest.approx(2 * (whole.llf - fewer.llf), rel=1e-6)
        assert df == 1
        assert found.tests["wald"][name][0] == pytest.approx(whole.tvalues[j] ** 2, rel=1e-6)
        p = fewer.predict()
        design = np.c_[x, np.ones(len(y))]
        slope = design.T @ (y - p)
        expected = slope @ np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]), slope)
        assert found.tests["score"][name][0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_profile_intervals_end_where_the_likelihood_has_fallen_by_chi_squared(classes):
    """The others are fitted again beside each end, by scipy."""
    x, y = planted(classes, 120, 3)
    found = fitted(x, y, profile=("x1",), level=0.9).model.inference
    fall = scipy.stats.chi2.ppf(0.9, 1) / 2
    design = np.c_[(x - x.mean(axis=0)) / x.std(axis=0), np.ones(len(y))]
    for j in range(classes - 1):
        for end in (found.profile_low[1, j], found.profile_high[1, j]):

            def loss(free, end=end, j=j):
                theta = np.insert(free, 4 * j + 1, end * x.std(axis=0)[1]).reshape(-1, 4).T
                z = np.c_[np.zeros(len(y)), design @ theta]
                p = np.exp(z - scipy.special.logsumexp(z, axis=1, keepdims=True))
                slope = (design.T @ (p - np.eye(classes)[y])[:, 1:]).T.ravel()
                return -np.log(p[np.arange(len(y)), y]).sum(), np.delete(slope, 4 * j + 1)

            best = scipy.optimize.minimize(
                loss, np.zeros(4 * (classes - 1) - 1), jac=True, options={"gtol": 1e-9}
            )
            assert found.log_likelihood + best.fun == pytest.approx(fall, rel=1e-6)
    assert np.isnan(found.profile_low[[0, 2, 3]]).all()
    low, _ = found.interval
    assert (np.abs(found.profile_low - low)[1] < 0.5 * found.std_error[1]).all()
    again = inferences.of_arrays(inferences.to_arrays(found))
    np.testing.assert_array_equal(again.profile_high, found.profile_high)
    assert "profile_low" in again.columns()


@pytest.mark.parametrize("classes", [2, 3])
def test_columns_that_depend_on_each_other_have_no_errors_and_others_have_theirs(classes):
    x, y = planted(classes, 500, 4)
    whole = fitted(x, y).model.inference
    found = fitted(np.c_[x, x[:, 0] - 2 * x[:, 1] + 1], y).model.inference
    assert np.isnan(found.std_error[[0, 1, 4, 5]]).all()
    np.testing.assert_allclose(found.std_error[[2, 3]], whole.std_error[[2, 3]], rtol=1e-6)
    assert found.rank == whole.rank
    assert "rows do not determine" in found.undetermined
    assert found.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-9)


def test_no_bias_and_sparse_rows():
    x, y = planted(2, 400, 5)
    found = fitted(x, y, bias=False).model.inference
    peer = sm.Logit(y, x).fit(**PEER)
    np.testing.assert_allclose(found.std_error[:, 0], peer.bse, rtol=1e-6)
    assert found.null_log_likelihood == pytest.approx(400 * np.log(0.5))
    rng = np.random.default_rng(0)
    rows = sparse_rows(rng, 300, 6, 0.4)
    y = rng.integers(0, 2, 300)
    found, dense = fitted(rows, y).model.inference, fitted(rows.toarray(), y).model.inference
    np.testing.assert_allclose(found.covariance, dense.covariance, rtol=1e-7)


def test_separated_classes_have_no_errors_and_it_is_said():
    x, y = planted(2, 60, 2)
    x[:, 0] = y
    fit = fitted(x, y)
    assert fit.status is Status.SEPARATED
    assert fit.model.inference is None
    assert fit.no_inference.startswith("no standard errors, as the fit is separated")


def test_complete_separation_names_what_runs_off_first():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 4))
    y = (x[:, 1] > 0).astype(int)
    x[:, 1] += 2 * y - 1
    assert "first of all 'x1'" in fitted(x, y).message
    # Of a column that alone is separated nothing comes first.
    assert "first of all" not in fitted(x[:, [1]], y).message


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_an_offset_that_explains_every_row_leaves_nothing_to_fit(l2):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 2)), rng.integers(0, 2, 50).astype(np.int32)
    config = configs.get_config()
    config.data.offset, config.l2 = "offset", l2
    source = arrays.from_arrays(x, y, class_names=("a", "b"), extras={"offset": 2000.0 * (2 * y - 1)})
    dataset = make.of_rows(with_offset(source, "offset", 1), {"train": np.arange(50)}, config, DEVICES)
    fit = learn.learn(config, dataset, DEVICES, Monitor())
    assert fit.status is Status.OPTIMAL
    assert fit.relative_gap < 1e-6
    np.testing.assert_array_equal(fit.model.kernel, 0)


def test_an_inference_comes_back_from_its_file():
    found = fitted(*spector(), tests=("wald", "lr")).model.inference
    again = inferences.of_arrays(inferences.to_arrays(found))
    assert inferences.to_arrays(again).keys() == inferences.to_arrays(found).keys()
    for name, values in inferences.to_arrays(found).items():
        np.testing.assert_array_equal(inferences.to_arrays(again)[name], values)


def test_a_notebook_shows_errors_in_columns():
    model = fitted(*spector()).model
    found = {"inference": {"missing": ""}}
    text = summary.error_lines(found, model)
    named = [line for line in text if line.split()[0] in model.feature_names]
    assert len(named) == len(model.feature_names)
    assert len({len(line) for line in named}) == 1
    assert f"{model.inference.std_error[0, 0]:.5g}" in "\n".join(text)
    assert summary.error_lines({"inference": {"missing": "no standard errors"}}) == ["  no standard errors."]
