"""Standard errors and bootstraps of many rows: statsmodels' numbers, on one device, on four, on two workers."""

import numpy as np
import pytest
import statsmodels.api as sm
from fitted_errors import fitted, planted
from worker_runs import ended, run_workers

import tf_logreg

PEER = dict(disp=0, tol=1e-14, maxiter=200, warn_convergence=False)


@pytest.mark.long
@pytest.mark.parametrize("classes", [2, 4])
def test_planted_rows_are_statsmodels(classes):
    x, y = planted(classes, 20_000, 30)
    found = fitted(x, y).model.inference
    design = np.c_[x, np.ones(len(y))]
    peer = (sm.Logit if classes == 2 else sm.MNLogit)(y, design).fit(**PEER)
    for ours, theirs in (
        (found.theta, peer.params),
        (found.std_error, peer.bse),
        (found.z, peer.tvalues),
        (found.p_value, peer.pvalues),
        (found.covariance, peer.cov_params()),
    ):
        theirs = np.asarray(theirs)
        np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=1e-6, atol=1e-12)
    numbers = found.statistics()
    ours = [found.log_likelihood, numbers["llr"], numbers["aic"], numbers["bic"]]
    np.testing.assert_allclose(ours, [peer.llf, peer.llr, peer.aic, peer.bic], rtol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("classes", [2, 4])
def test_devices_and_workers_change_no_error(tmp_path, command, classes):
    """Nor a draw of the bootstrap: weights are those of the rows, whoever reads them."""
    rows = (
        "--config=synthetic", "--config.data.args.num_rows=20000", "--config.data.args.num_features=30",
        f"--config.data.args.num_classes={classes}", "--config.inference.cov_type=nonrobust", "--dtype=float64",
        "--config.inference.bootstrap=20", "--noreport",
    )  # fmt: skip
    for name, flags in (
        ("one", ("--distribution_strategy=one_device",)),
        ("four", ("--distribution_strategy=mirrored", "--num_virtual_cpus=4")),
    ):
        code, _, err = command(*rows, *flags, f"--workdir={tmp_path / name}")
        assert code == 0, err
    codes, _, err = ended(run_workers(2, *rows[:-1], workdir=tmp_path / "two"))
    assert codes == [0, 0], err
    one, four, two = (tf_logreg.load(str(tmp_path / name)) for name in ("one", "four", "two"))
    for other in (four, two):
        np.testing.assert_allclose(other.inference.theta, one.inference.theta, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(other.inference.std_error, one.inference.std_error, rtol=1e-9)
        np.testing.assert_allclose(other.inference.correlation, one.inference.correlation, atol=1e-9)
        deviation = one.bootstrap.kernel.std(axis=0)
        np.testing.assert_allclose(
            other.bootstrap.kernel / deviation, one.bootstrap.kernel / deviation, atol=0.02
        )
