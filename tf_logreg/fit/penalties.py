"""Penalties as they are given: l1 and l2 of the mean loss, or scikit-learn's C of the sum of losses.

With C the objective is C * sum_i s_i loss_i + (1 - l1_ratio) / 2 ||W||^2 + l1_ratio ||W||_1, class weights
included in s_i. Divided by C * sum_i s_i it is ours, with l2 = (1 - l1_ratio) / (C sum_i s_i) and
l1 = l1_ratio / (C sum_i s_i).
"""

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import moments
from tf_logreg.data.source import Source
from tf_logreg.fit import class_weight

_LARGEST = 1e300  # of a strength; far beyond any that leaves a coefficient


class Penalty(NamedTuple):
    """The penalty of one model.

    Attributes:
        l1, l2: of the mean loss.
        C: 1 / ((l1 + l2) * the sum of the training weights); infinite without a penalty.
    """

    l1: float
    l2: float
    C: float


def sum_of_weights(class_weights: str, source: Source, scan: moments.Scan) -> float:
    """The sum of some rows' weights as the user gave them, class weights included.

    Args:
        class_weights: the config's class_weight.
        source: of the rows. scan: the moments of the rows.
    """
    found = class_weight.total(class_weights, source.class_names, scan.class_weight_sum)
    return float(np.ldexp(found, source.weight_exponent))


def strength_of(inverse: np.ndarray | float, weight_sum: float) -> np.ndarray:
    """The penalty of the mean loss that C is; 0 for an infinite C."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(1 / np.multiply(inverse, weight_sum), _LARGEST)


def inverse_of(strength: np.ndarray | float, weight_sum: float) -> np.ndarray:
    """The C of a penalty of the mean loss; infinite for none."""
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / np.multiply(strength, weight_sum)


def of_mean(settings: ConfigDict, weight_sum: float) -> ConfigDict:
    """The settings with l1 and l2 for `C`, and with path.values for `path.C`, which stays beside them.

    Args:
        settings: a config; unchanged.
        weight_sum: of the training rows, from `sum_of_weights`.

    Returns:
        A config that shares the sections that are as they were: copy it before anything in them is set.
    """
    if not settings.C and not settings.path.C:
        return settings
    # What is not changed is shared: a whole copy takes as long as steps of a small fit.
    shared = {id(part): part for name, part in settings.items() if name != "path"}
    settings = settings.copy_and_resolve_references(shared)
    if settings.C:
        strength = float(strength_of(settings.C, weight_sum))
        settings.l1, settings.l2 = settings.l1_ratio * strength, (1 - settings.l1_ratio) * strength
        settings.C = settings.l1_ratio = 0.0
    if settings.path.C:
        settings.path["values"] = tuple(strength_of(np.array(settings.path.C, float), weight_sum).tolist())
    return settings


def penalty(settings: ConfigDict, weight_sum: float) -> Penalty:
    """The penalty of a single fit by settings from `of_mean`."""
    return Penalty(settings.l1, settings.l2, float(inverse_of(settings.l1 + settings.l2, weight_sum)))


def takes_l1(settings: ConfigDict) -> bool:
    """Whether a fit by these settings, or any fit of their path, has an l1 penalty."""
    path = settings.path
    mixed = path.penalty == "elastic_net" and any(ratio > 0 for ratio in path.l1_ratios)
    return settings.l1 > 0 or (settings.C > 0 and settings.l1_ratio > 0) or path.penalty == "l1" or mixed
