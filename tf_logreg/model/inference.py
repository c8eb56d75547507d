"""Standard errors of a model without penalties, and what follows: tests, intervals, statistics of the fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats

from tf_logreg.names import describe

NAME = "inference.npz"
_PLAIN = (
    "theta", "std_error", "correlation", "reference", "cov_type", "level", "is_sample", "num_rows",
    "log_likelihood", "null_log_likelihood", "rank", "null_rank", "error",
)  # fmt: skip
_PROFILE = ("profile_low", "profile_high")
_TESTS = ("test", "test_of", "chi2", "df")


@dataclasses.dataclass(frozen=True)
class Inference:
    """What is known of how far coefficients are from those of the population.

    Coefficients are theta [q, J] in raw units, the last row the bias where there is one: of a sigmoid its own
    (J = 1), of a softmax those less the reference class's, without that class (J = C - 1).

    Attributes:
        theta: [q, J].
        std_error: [q, J] of theta; NaN for what the rows do not determine.
        correlation: [J q, J q] of theta by output: place j * q + i. NaN likewise.
        outputs: names of the J classes. reference: name of the class that they are against.
        features: q names, the last '(bias)' where there is one.
        cov_type: as inference.cov_type. level: of the intervals, in (0, 1).
        is_sample: whether weights are of a sample, so that there is no likelihood.
        num_rows: the sum of the weights, or the number of rows with a weight where these are of a sample.
        log_likelihood, null_log_likelihood: at theta, and without features, nats, weighted.
        rank: number of coefficients that the rows determine. null_rank: of those of a model without features.
        error: by how many standard errors a coefficient may be off, since the optimum is only near.
        profile_low, profile_high: [q, J] ends of profile-likelihood intervals, NaN where none was asked for;
            None for none at all.
        tests: by name of the test ('wald', 'lr', 'score') and column: chi squared, degrees of freedom.
    """

    theta: np.ndarray
    std_error: np.ndarray
    correlation: np.ndarray
    outputs: tuple[str, ...]
    reference: str
    features: tuple[str, ...]
    cov_type: str
    level: float
    is_sample: bool
    num_rows: float
    log_likelihood: float
    null_log_likelihood: float
    rank: int
    null_rank: int
    error: float
    tests: dict[str, dict[str, tuple[float, int]]] = dataclasses.field(default_factory=dict)
    profile_low: np.ndarray | None = None
    profile_high: np.ndarray | None = None

    @property
    def covariance(self) -> np.ndarray:
        """[J q, J q] of theta, as `correlation`."""
        error = self.std_error.T.ravel()
        return self.correlation * np.outer(error, error)

    @property
    def z(self) -> np.ndarray:
        """Coefficients over their standard errors, [q, J]."""
        return self.theta / self.std_error

    @property
    def p_value(self) -> np.ndarray:
        """[q, J], two-sided, of the normal distribution."""
        return 2 * scipy.stats.norm.sf(np.abs(self.z))

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends [q, J] of the intervals of `level`."""
        half = scipy.stats.norm.ppf((1 + self.level) / 2) * self.std_error
        return self.theta - half, self.theta + half

    @property
    def undetermined(self) -> str:
        """Which features have coefficients that the rows do not determine; '' for none."""
        lacks = np.isnan(self.std_error).any(axis=1)
        names = tuple(name for name, one in zip(self.features, lacks, strict=True) if one)
        return f"the rows do not determine the coefficients of {describe(names)}" if names else ""

    def wald(self, rows: np.ndarray) -> tuple[float, int]:
        """Chi squared and its degrees of freedom, that the coefficients of some rows of theta are zero.

        Args:
            rows: indices in 0..q-1; what the data do not determine is left out.

        Returns:
            (0, 0) where nothing is left, or few groups say less than there are coefficients.
        """
        q, outputs = self.theta.shape
        at = (np.arange(outputs)[:, None] * q + rows).ravel()
        z = self.z.T.ravel()
        at = at[np.isfinite(z[at])]
        if not at.size:
            return 0.0, 0
        values, vectors = np.linalg.eigh(self.correlation[np.ix_(at, at)])
        if values.min() <= at.size * np.finfo(float).eps * values.max():
            return 0.0, 0
        return float((np.square(vectors.T @ z[at]) / values).sum()), at.size

    def test(self, name: str, column: str) -> dict[str, float | int | None]:
        """'chi2', 'df' and 'p_value' of a test of a column; None where it has no degree of freedom."""
        chi2, df = self.tests[name][column]
        return {"chi2": chi2 if df else None, "df": df, "p_value": _p_value(chi2, df)}

    def columns(self) -> dict[str, np.ndarray]:
        """What a table of coefficients has beside them, [q, J] each, by name."""
        low, high = self.interval
        with np.errstate(over="ignore"):
            odds = np.exp(self.theta)
        return {
            "std_error": self.std_error,
            "z": self.z,
            "p_value": self.p_value,
            "ci_low": low,
            "ci_high": high,
            "odds_ratio": odds,
            **{name: getattr(self, name) for name in _PROFILE if self.profile_low is not None},
        }

    def statistics(self) -> dict[str, float | None]:
        """Statistics of the fit as a whole, by name.

        deviance and null_deviance are -2 log likelihood; df_model = rank less that of the null model;
        llr, the likelihood ratio's chi squared, and its p-value, where cov_type is nonrobust; wald, the same
        by the covariance; aic and bic (-2 ll + 2 k, + k log n); mcfadden (1 - ll / ll_0) and nagelkerke
        (Biometrika 78, 1991) are pseudo R squared. None where undefined, as what rests on a likelihood is
        with the weights of a sample.
        """
        ll, null, n = self.log_likelihood, self.null_log_likelihood, self.num_rows
        df, has_bias = self.rank - self.null_rank, self.null_rank > 0
        wald, wald_df = self.wald(np.arange(len(self.theta) - has_bias))
        found = {
            "df_model": df,
            "df_residual": n - self.rank,
            "wald": wald if wald_df else None,
            "wald_p_value": _p_value(wald, wald_df),
            "mcfadden": 1 - ll / null if null else None,
        }
        llr = 2 * (ll - null)
        is_test = self.cov_type == "nonrobust"
        most = -np.expm1(2 * null / n)
        of_likelihood = {
            "deviance": -2 * ll,
            "null_deviance": -2 * null,
            "llr": llr if is_test else None,
            "llr_p_value": _p_value(llr, df) if is_test else None,
            "aic": 2 * (self.rank - ll),
            "bic": self.rank * float(np.log(n)) - 2 * ll,
            "nagelkerke": float(-np.expm1(-llr / n) / most) if most > 0 else None,
        }
        return found | (dict.fromkeys(of_likelihood) if self.is_sample else of_likelihood)


def _p_value(chi2: float, df: int) -> float | None:
    """Of a chi squared; None without a degree of freedom."""
    return float(scipy.stats.chi2.sf(chi2, df)) if df else None


def to_arrays(found: Inference) -> dict[str, np.ndarray]:
    """As `inference.npz` holds it."""
    tests = [
        (name, column, *values) for name, columns in found.tests.items() for column, values in columns.items()
    ]
    arrays = {name: np.array(getattr(found, name)) for name in _PLAIN}
    arrays |= {name: getattr(found, name) for name in _PROFILE if found.profile_low is not None}
    arrays |= {"outputs": np.array(found.outputs), "features": np.array(found.features)}
    for k, name in enumerate(_TESTS):
        arrays[name] = np.array([one[k] for one in tests])
    return arrays


def of_arrays(arrays: dict[str, np.ndarray]) -> Inference:
    """Back from `to_arrays`; KeyError or ValueError where it is none of ours."""
    plain = {name: arrays[name].item() if arrays[name].ndim == 0 else arrays[name] for name in _PLAIN}
    tests: dict[str, dict[str, tuple[float, int]]] = {}
    for name, column, chi2, df in zip(*(arrays[name].tolist() for name in _TESTS), strict=True):
        tests.setdefault(name, {})[column] = (chi2, df)
    names = {name: tuple(arrays[name].tolist()) for name in ("outputs", "features")}
    return Inference(
        **plain, **names, tests=tests, **{name: arrays[name] for name in _PROFILE if name in arrays}
    )
