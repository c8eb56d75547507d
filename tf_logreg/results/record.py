"""The fields of `result.json`: types, which may be null, and meanings.

A run passes all of them to `Result` by name, so a missing or extra field is an error at once. `to_json`
converts them for writing, `record_faults` checks those that were read. The tables of docs/design.md have the
same fields, for users.
"""

import dataclasses
import math
from typing import NotRequired, TypedDict

# One number per class, or for class 1 alone with two classes.
_ByClass = float | list[float | None] | None


class PerClass(TypedDict):
    """Numbers in the order of the classes, 0 where nothing was predicted or present."""

    precision: list[float | None]
    recall: list[float | None]
    f1: list[float | None]


# Not classes: two names hold a slash.
SliceMetrics = TypedDict(
    "SliceMetrics",
    {
        "num_rows": int,  # the others are as in `Metrics`
        "log_loss": float | None,
        "accuracy": float | None,
        "roc_auc": float | None,
        "areas_missing": NotRequired[str],
        "log_loss_interval": NotRequired[list[float] | None],
        "accuracy_interval": NotRequired[list[float] | None],
        "roc_auc_interval": NotRequired[list[float] | None],
        "intervals_missing": NotRequired[str],
        "label/mean": NotRequired[float | None],  # of two classes, like the next three
        "prediction/mean": NotRequired[float | None],
        "precision": NotRequired[float | None],  # of class 1
        "recall": NotRequired[float | None],
    },
)
Metrics = TypedDict(
    "Metrics",
    {
        "num_rows": int,  # rows of the split, those of weight 0 too
        "log_loss": float | None,  # mean over the rows' weights, in nats
        "log_loss_missing": NotRequired[str],  # why there is no log loss
        "accuracy": float | None,  # share of the weight that is predicted correctly
        "top_5_accuracy": NotRequired[float | None],  # share with the class among the first five; from six on
        "balanced_accuracy": float | None,  # mean recall of the classes that have rows
        "brier_score": float | None,  # mean squared error of the probabilities, summed over three or more
        "expected_calibration_error": float | None,  # mean distance of accuracy and top probability by bin
        "roc_auc": float | None,  # area under the ROC curve, the mean over classes with more than two
        "pr_auc": float | None,  # average precision, likewise
        "areas_missing": NotRequired[str],  # why there are no areas
        "log_loss_interval": NotRequired[list[float] | None],  # of 95%, of other rows than those of training
        "accuracy_interval": NotRequired[list[float] | None],  # likewise
        "roc_auc_interval": NotRequired[list[float] | None],  # likewise, of two classes
        "intervals_missing": NotRequired[str],  # why there are none
        "ks": NotRequired[float],  # Kolmogorov-Smirnov, of the scores of two classes
        "ks_threshold": NotRequired[float],  # where that is
        "lift_top_tenth": NotRequired[float],  # of class 1 in the tenth with the highest scores
        "accuracy_baseline": float | None,  # accuracy of always naming the largest class
        "label/mean": _ByClass,  # share of the weight
        "prediction/mean": _ByClass,  # mean probability
        "per_class": PerClass,
        "slices": NotRequired[dict[str, dict[str, SliceMetrics]]],  # by column of evaluate.slices and level
    },
)


class Dependence(TypedDict):
    """Linearly dependent unpenalised columns."""

    rank: int  # of the columns together with the bias
    columns: int  # number of unpenalised columns
    features: list[str]  # with coefficients that are not identified, while predictions are


class Prior(TypedDict):
    """The run towards whose coefficients l2 pulled."""

    workdir: str  # as solver.prior names it
    matched: int  # features that both have
    left_out: int  # features that only that run has


class StartMetrics(TypedDict):
    """Of a split, the metrics of the model that a fit started from."""

    log_loss: float | None  # nats
    accuracy: float | None


class Start(TypedDict):
    """The run that a fit started from, measured on the rows of the fit."""

    workdir: str  # as solver.warm_start names it
    objective: float | None  # F of its weights, nats, with the penalties of the fit
    metrics: dict[str, StartMetrics]  # by split


class Path(TypedDict):
    """Fits of every penalty with every fold held out; lists [N][F] over N penalties and F folds."""

    penalty: str  # 'l1', 'l2' or 'elastic_net'
    values: list[float]  # [N] strengths on all training rows, the strongest first
    C: list[float | None]  # [N] 1 / (strength * sum of all training weights)
    l1_ratio: list[float]  # [N] share of a strength that is l1
    l1: list[list[float]]  # of each fit
    l2: list[list[float]]  # of each fit
    choice: int  # index of the chosen penalty
    chosen: float  # its strength
    note: str  # message about a choice at an end of the strengths; '' for none
    metric: str  # what the scores are: log_loss, in nats, accuracy, balanced_accuracy or roc_auc
    scores: list[list[float | None]]  # of the rows held out
    status: list[list[str]]  # how each fit ended
    certified_gap: list[list[float | None]]  # nats
    objective: list[list[float | None]]  # nats
    nonzeros: list[list[int]]  # number of non-zero coefficients
    passes: list[list[float | None]]  # reads of the training rows
    iterations: int  # steps of the method, for all fits together


class Measured(TypedDict):
    """The fit to the training rows, which was measured, where another is saved (data.refit='all')."""

    status: str  # these fields are as in `Result`
    num_rows: int
    l1: float
    l2: float
    C: float | None
    objective: float | None
    certified_gap: float | None
    relative_gap: float | None
    iterations: int
    passes: float


class Threshold(TypedDict):
    """The threshold of a model of two classes, and what it gave on the rows that it was chosen on."""

    value: float  # class 1 is the answer where its probability is above it
    rule: str  # 'value' where it was given, a threshold.metric, or 'at_recall=0.9' and the like
    chosen_on: str  # 'validation' rows, 'held-out' rows of all folds, or '' for a given one
    num_rows: int  # of those
    best: float | None  # the metric there, of a threshold.metric
    precision: float | None  # share of the called rows that are of class 1
    recall: float | None  # share of class 1 that is called
    rate: float | None  # share of all rows that is called


class Test(TypedDict):
    """Whether all coefficients of a raw column of a table, or of a feature, may be zero."""

    chi2: float | None
    df: int
    p_value: float | None


class Inference(TypedDict):
    """Inference of a fit without penalties; the coefficients' own is in coefficients.csv."""

    missing: str  # why there is none; '' where there is, else numbers are null
    cov_type: str  # as inference.cov_type
    level: float  # of the intervals
    reference: str  # class that the coefficients are against
    undetermined: str  # which coefficients the rows do not determine; '' for none
    error: float | None  # by how many standard errors a coefficient may be off the optimum, at most about
    log_likelihood: float | None  # nats
    null_log_likelihood: float | None  # without features
    statistics: dict[str, float | None]  # deviance, aic, bic, ...: `model.inference.Inference.statistics`
    tests: dict[str, dict[str, Test]]  # by test, 'wald', 'lr', 'score', and by column


class Bootstrap(TypedDict):
    """A bootstrap: coefficients have their intervals in coefficients.csv, replicates are in bootstrap.npz."""

    replicates: int
    done: int  # that came near an optimum; all else is of these
    level: float  # of the intervals
    error: float | None  # how far their coefficients are at most from the optimum, in standard deviations
    log_loss: list[float] | None  # mean and interval, nats, of the rows that a replicate has not drawn
    roc_auc: list[float] | None  # likewise, of a sigmoid


class Distance(TypedDict):
    """How far a fit is at most from the optimum, in what people read."""

    missing: str  # why that is not known; '' where it is
    coefficient: float | None  # of all features, per standard deviation of each
    test_rows: int | None
    open_decisions: int | None  # how many of these could have another class at the exact optimum


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a finished run, of the model that is saved; `path` and `metrics` are of fits before it."""

    status: str  # how the fit ended: a value of `fit.result.Status`
    message: str  # the status explained, with the remedy
    l1: float  # penalty of the mean loss
    l2: float  # likewise
    C: float | None  # 1 / ((l1 + l2) * sum of the training weights, class weights included)
    objective: float | None  # F of the saved weights: mean loss and penalty, nats
    certified_gap: float | None  # upper bound on F - F*, nats, of the weights in float64
    relative_gap: float | None  # the same over the null model's F
    gradient_bound: float | None  # another bound on F - F*, nats, where l2 is on every coefficient
    certificate: str  # which bound it is, or why there is none
    solver: str  # the method, or 'minibatch'
    iterations: int  # updates of the weights
    passes: float  # reads of the training rows
    num_rows: int  # training rows; with data.refit='all' all rows
    num_features: int
    num_classes: int
    absent_classes: list[str]  # declared by the source, but without rows
    weights_dtype: str  # of what is saved, float32 or float64
    dependence: Dependence | None
    start: Start | None
    prior: Prior | None
    path: Path | None
    threshold: Threshold | None  # of two classes, where one was asked for
    inference: Inference | None  # where inference.cov_type asks for it
    bootstrap: Bootstrap | None  # where inference.bootstrap asks for it
    distance: Distance | None  # of the fit that `metrics` are of; where an optimum is sought
    measured: Measured | None  # the fit that `metrics` are of, where another one is saved
    metrics: dict[str, Metrics]  # by split: train, validation, test
    seconds: dict[str, float]  # by phase: setup, data, fit, evaluate, refit where there is one, export
    versions: dict[str, str]  # of tf_logreg, tensorflow and keras
    strategy: str  # the class of the tf.distribute strategy, '' where there is none
    engine: str  # what made the passes over the rows, host or devices
    num_replicas: int
    num_workers: int
    communication: float | None  # share of the fit's time, of several workers


def to_json(result: Result) -> dict:
    """Contents of `result.json`, with null for each number that JSON cannot hold."""
    return _finite(vars(result))


def _finite(value):
    """A tree of dicts, lists and plain values with None for each number that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
