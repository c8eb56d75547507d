"""A fitted model and its result -> the attributes of an estimator that end in an underscore."""

from typing import Any

import numpy as np

from tf_logreg.model.model import Model


def as_attributes(model: Model, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """A model's `coef_` and `intercept_`: copies in a dtype."""
    return model.kernel.T.astype(dtype), model.bias.astype(dtype)


def set_attributes(estimator: Any, model: Model, result: dict, dtype: str) -> None:
    """Sets the attributes that end in an underscore, but for `classes_`.

    Args:
        estimator: to be set.
        model: the fitted model.
        result: the fields of `result.json`.
        dtype: of X, and of the coefficients unless float32 would move logits by more than 1e-4.
    """
    estimator._model = model
    coefficients = as_attributes(model, "float32" if dtype == model.dtype == "float32" else "float64")
    estimator.coef_, estimator.intercept_ = coefficients
    estimator.n_iter_ = np.array([result["iterations"]], np.int32)
    gap = result["relative_gap"]
    estimator.certified_gap_ = np.nan if gap is None else float(gap)
    estimator.status_ = str(result["status"])
    estimator.result_ = result


def logits_in_range(model: Model, x: np.ndarray) -> np.ndarray:
    """Logits [n, m] of finite rows whose logits overflow float64.

    A row's logits that are beyond its range are divided by one factor, which leaves their order.
    """
    half, most = -520, np.finfo(float).max / 2  # differences of logits stay finite too
    kernel, bias = np.ldexp(model.kernel, half), np.ldexp(model.bias, 2 * half)
    small = np.ldexp(np.asarray(x, float), half) @ kernel + bias
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = np.ldexp(small, -2 * half)
        largest = np.abs(small).max(axis=1, keepdims=True)
        return np.where(np.abs(found).max(axis=1, keepdims=True) <= most, found, small / largest * most)
