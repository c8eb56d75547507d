"""A scoring as scikit-learn has it -> one of our metrics, or a scorer of models on held-out rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer, make_scorer

# scikit-learn's names of scores that one pass over the held-out rows gives, ours, and the sign of ours.
PASSES = {
    None: ("accuracy", 1),
    "accuracy": ("accuracy", 1),
    "neg_log_loss": ("log_loss", -1),
    "balanced_accuracy": ("balanced_accuracy", 1),
}


def is_pass(scoring: Any, params: dict, weighted: bool) -> bool:
    """Whether a pass gives the scores: by the rows' weights and no other parameters.

    Args:
        scoring: a name, a scorer or None. params: those that the scorer is called with.
        weighted: whether the rows have weights.
    """
    named = scoring is None or isinstance(scoring, str)
    return named and scoring in PASSES and list(params) == ["sample_weight"] * weighted


def scorer_of(scoring: Any, classes: np.ndarray) -> Callable[..., float]:
    """A function (estimator, X, y, **params) -> score, higher is better.

    A score that takes the labels is given all of them, as held-out rows may lack some.

    Args:
        scoring: a name or a scorer; None for accuracy. classes: [C], the labels.
    """
    scorer = get_scorer(scoring or "accuracy")
    function = getattr(scorer, "_score_func", None)
    taken = inspect.signature(function).parameters if function else {}
    if "labels" not in taken:
        return scorer
    fixed = {"labels": classes}
    if len(classes) == 2 and "pos_label" in taken:
        fixed["pos_label"] = classes[-1]
    return make_scorer(
        function,
        greater_is_better=scorer._sign == 1,
        response_method=scorer._response_method,
        **fixed | scorer._kwargs,
    )
