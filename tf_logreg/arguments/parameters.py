"""Parameters of an estimator -> settings of a fit and the devices that it runs on.

Names and defaults are scikit-learn's. Those that mean nothing here are taken at their defaults only, so
that nobody believes that they did something.
"""

from __future__ import annotations

import functools
import math
import numbers
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg.devices.choices import DTYPES, KINDS
from tf_logreg.errors import InputError
from tf_logreg.fit.full_batch import optimum
from tf_logreg.model import head as heads

# scikit-learn's names of methods, and ours. 'sag' and 'saga' have no counterpart: their problems are solved.
SOLVERS = {
    "auto": "auto",
    "lbfgs": "lbfgs",
    "newton-cg": "newton",
    "newton-cholesky": "newton",
    "sag": "auto",
    "saga": "auto",
    "newton": "newton",
    "proximal_newton": "proximal_newton",
    "gradient_descent": "gradient_descent",
}
_PASSES_PER_STEP = 250  # reads of the rows, more than a step takes: steps alone are limited
_SWITCHES = ("fit_intercept", "standardize", "warm_start", "refit", "use_legacy_attributes")
# Parameters that scikit-learn has or had, with the values that are taken.
_AT_DEFAULT = {
    "dual": (False,),
    "intercept_scaling": (1,),
    "multi_class": ("deprecated", "auto"),
    "penalty": ("deprecated", "l2"),
}
_REMEDIES = {"multi_class": "; output='softmax' or 'one_vs_rest' chooses"}
_PENALTIES = {
    "l1": "l1_ratio=1",
    "elasticnet": "an l1_ratio between 0 and 1",
    None: "C=np.inf",
    "none": "C=np.inf",
}


def check(estimator: Any) -> None:
    """Checks the parameters that every estimator here has.

    Raises:
        InputError: the name of the first one that cannot be used, what came and what is taken.
    """
    for name, taken in _AT_DEFAULT.items():
        value = getattr(estimator, name, taken[0])
        if value not in taken:
            _refuse_default(name, value, taken)
    _choice(estimator, "solver", tuple(SOLVERS))
    if estimator.output not in (kinds := ("auto", *heads.KINDS)):
        raise InputError(f"output: expected one of {', '.join(kinds)}. Received: {estimator.output!r}.")
    _choice(estimator, "dtype", ("auto", *DTYPES))
    _number(estimator, "tol", 0, math.inf, "a finite number > 0", closed=(False, False))
    for name in _SWITCHES:
        if not isinstance(value := getattr(estimator, name, False), bool | np.bool_):
            raise InputError(f"{name}: expected True or False. Received: {value!r}.")
    if not isinstance(estimator.max_iter, numbers.Integral) or estimator.max_iter < 1:
        raise InputError(f"max_iter: expected a whole number >= 1. Received: {estimator.max_iter!r}.")
    if getattr(estimator, "categorical_features", None) not in (None, "from_dtype"):
        raise InputError(
            "categorical_features: expected 'from_dtype' or None. Received: "
            f"{estimator.categorical_features!r}."
        )
    if estimator.time_limit is not None:
        _number(estimator, "time_limit", 0, math.inf, "seconds > 0, or None", closed=(False, False))
    if getattr(estimator, "warm_start", False) and estimator.workdir is not None:
        raise InputError(
            "warm_start: expected False with workdir, which resumes what it holds. Received: True."
        )
    strategy = estimator.strategy
    known = strategy.lower() in KINDS if isinstance(strategy, str) else _is_strategy(strategy)
    if not known:
        raise InputError(
            f"strategy: expected one of {', '.join(KINDS)}, or a tf.distribute.Strategy. "
            f"Received: {strategy!r}."
        )


def check_penalty(C: float, l1_ratio: float) -> None:  # noqa: N803
    """Checks a strength and a mixture.

    Raises:
        InputError: C is not above 0, or l1_ratio not in [0, 1].
    """
    if not _is_real(C) or not C > 0:
        raise InputError(f"C: expected a number > 0, np.inf for no penalty. Received: {C!r}.")
    if not _is_real(l1_ratio) or not 0 <= l1_ratio <= 1:
        raise InputError(f"l1_ratio: expected a number in [0, 1]. Received: {l1_ratio!r}.")


def settings_of(estimator: Any, class_names: tuple[str, ...], labels: np.ndarray) -> ConfigDict:
    """The settings of a fit, but for its penalty and method, see `penalise`.

    Args:
        estimator: with parameters that `check` has seen.
        class_names: C names, as the source has them.
        labels: [C], the labels as the user gave them, in the same order.

    Raises:
        InputError: class_weight cannot be used.
    """
    settings = _defaults().copy_and_resolve_references()
    settings.model.output = estimator.output
    settings.model.bias = bool(estimator.fit_intercept)
    settings.standardize = bool(estimator.standardize)
    settings.correct_prior = False
    settings.class_weight = class_weight_text(estimator.class_weight, class_names, labels)
    if estimator.penalty_factor is not None:
        settings.penalty_factor = _factors(estimator.penalty_factor)
    settings.solver.tol = float(estimator.tol)
    settings.solver.max_steps = int(estimator.max_iter)
    settings.solver.time_limit = float(estimator.time_limit or 0.0)
    settings.solver.max_passes = _PASSES_PER_STEP * int(estimator.max_iter)
    return settings


def penalise(settings: ConfigDict, C: float, l1_ratio: float, solver: str) -> None:  # noqa: N803
    """Sets the penalty, and the method for it.

    Args:
        settings: changed in place.
        C, l1_ratio: from `check_penalty`.
        solver: one of SOLVERS.

    Raises:
        InputError: the solver gives no exact zeros, which an l1 needs.
    """
    is_penalised = not math.isinf(C)
    if is_penalised:
        settings.C, settings.l1_ratio = float(C), float(l1_ratio)
    settings.solver.name = method_of(solver, l1=is_penalised and l1_ratio > 0)


def method_of(solver: str, *, l1: bool) -> str:
    """The method that one of SOLVERS names.

    Raises:
        InputError: it gives no exact zeros, which an l1 needs.
    """
    name = SOLVERS[solver]
    if l1 and name not in ("auto", "proximal_newton"):
        raise InputError(
            f"solver: expected 'auto', 'saga' or 'proximal_newton' with l1_ratio > 0. Received: {solver!r}."
        )
    return optimum.method_name(name, l1=l1)


def class_weight_text(weights: Any, class_names: tuple[str, ...], labels: np.ndarray) -> str:
    """None, 'balanced' or a dict by label -> the text that a config has.

    Raises:
        InputError: another kind, or a label that is no class.
    """
    if weights is None:
        return ""
    if isinstance(weights, str) and weights == "balanced":
        return weights
    if not isinstance(weights, dict):
        raise InputError(
            f"class_weight: expected None, 'balanced' or a dict by class. Received: {weights!r}."
        )
    known = dict(zip(labels.tolist(), class_names, strict=True))
    parts = []
    for label, weight in weights.items():
        label = label.item() if isinstance(label, np.generic) else label
        if label not in known:
            raise InputError(
                f"class_weight: expected classes of y, {list(known)}. Received: a weight for {label!r}."
            )
        if not _is_real(weight) or not 0 < weight < math.inf:
            raise InputError(
                f"class_weight: expected a finite weight > 0. Received: {weight!r} for {label!r}."
            )
        quoted = known[label].replace('"', '""')
        parts.append(f'"{quoted}={float(weight)!r}"')
    return ",".join(parts)


def strategy_name(strategy: Any) -> str:
    """The kind of a strategy, by which it is pickled."""
    if isinstance(strategy, str):
        return strategy
    kinds = {
        "OneDeviceStrategy": "one_device",
        "MirroredStrategy": "mirrored",
        "MultiWorkerMirroredStrategy": "multi_worker_mirrored",
        "CollectiveAllReduceStrategy": "multi_worker_mirrored",
        "TPUStrategy": "tpu",
        "TPUStrategyV2": "tpu",
        "_DefaultDistributionStrategy": "off",
    }
    return next((kinds[base.__name__] for base in type(strategy).__mro__ if base.__name__ in kinds), "auto")


@functools.cache
def _defaults() -> ConfigDict:
    """The default config, to be copied: that takes a quarter of the time of making it."""
    return configs.get_config()


def _is_strategy(value: object) -> bool:
    return hasattr(value, "num_replicas_in_sync")


def _refuse_default(name: str, value: object, taken: tuple) -> None:
    if name == "penalty":
        instead = _PENALTIES.get(value) if isinstance(value, str | None) else None
        raise InputError(
            f"penalty: it is gone, {instead or 'l1_ratio and C'} says it instead. Received: {value!r}."
        )
    raise InputError(
        f"{name}: expected {taken[0]!r}, as it has no effect here{_REMEDIES.get(name, '')}. "
        f"Received: {value!r}."
    )


def _choice(estimator: Any, name: str, known: tuple[str, ...]) -> None:
    value = getattr(estimator, name)
    if not isinstance(value, str) or value not in known:
        why = " ('liblinear' penalises the intercept)" if value == "liblinear" else ""
        raise InputError(f"{name}: expected one of {', '.join(known)}{why}. Received: {value!r}.")


def _number(
    estimator: Any, name: str, low: float, high: float, expected: str, *, closed: tuple[bool, bool]
) -> None:
    value = getattr(estimator, name)
    if _is_real(value):
        above = value >= low if closed[0] else value > low
        below = value <= high if closed[1] else value < high
        if above and below:
            return
    raise InputError(f"{name}: expected {expected}. Received: {value!r}.")


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def _factors(given: Any) -> tuple[float, ...]:
    factors = np.asarray(given)
    if (
        factors.ndim != 1
        or factors.dtype.kind not in "fiub"
        or not ((factors >= 0) & (factors < np.inf)).all()
    ):
        raise InputError(f"penalty_factor: expected finite numbers >= 0, one a feature. Received: {given!r}.")
    return tuple(factors.astype(float).tolist())
