"""tf_logreg in benchopt's own race: a file for `solvers/` of `benchmark_logreg_l2` and `benchmark_logreg_l1`.

    cp benchmarks/benchopt/tf_logreg.py benchmark_logreg_l2/solvers/
    benchopt run benchmark_logreg_l2 -s tf_logreg
    benchopt run benchmark_logreg_l1 -s 'tf_logreg[penalty=l1]'

The package is imported where it is used: a process that only lists solvers needs none of it.
"""

import numpy as np
from benchopt import BaseSolver


class Solver(BaseSolver):
    """The estimator, asked for one certified gap after another."""

    name = "tf_logreg"
    sampling_strategy = "tolerance"
    requirements = ["pip::tf_logreg"]  # noqa: RUF012 - benchopt's form
    parameters = {"penalty": ["l2"]}  # noqa: RUF012

    def skip(self, X, y, lmbd, fit_intercept=False):  # noqa: N803 - benchopt's names
        """Sparse matrices are not taken."""
        return (True, "X is sparse") if hasattr(X, "toarray") else (False, None)

    def set_objective(self, X, y, lmbd, fit_intercept=False):  # noqa: N803
        """Keeps X [n, p] and y [n] of -1 and 1; lmbd multiplies the penalty beside the sum of the losses."""
        from tf_logreg import LogisticRegression

        self.rows, self.zeros = (X, y), np.zeros(X.shape[1] + fit_intercept)
        share = float(self.penalty == "l1")
        self.model = LogisticRegression(C=1 / lmbd, l1_ratio=share, fit_intercept=fit_intercept)

    def run(self, tolerance):
        """Fits to a certified gap that falls fast with the tolerance.

        The race takes a few results without progress for the optimum, and it lowers the tolerance by half.
        """
        self.model.set_params(tol=max(0.1 * min(tolerance, 1) ** 4, 1e-12)).fit(*self.rows)

    def get_result(self):
        """The coefficients, and the intercept behind them where there is one."""
        return {"beta": np.r_[self.model.coef_[0], self.model.intercept_][: len(self.zeros)]}
