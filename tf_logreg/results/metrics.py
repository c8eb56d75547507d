"""Metrics in float64, as sums that can be added over batches and workers, and areas from sorted logits.

Memory grows with the rows of a batch and the number of classes, not with the number of pairs of
classes, because the confusion holds only pairs that occur.
"""

from collections.abc import Iterable

import numpy as np
import scipy.special

from tf_logreg import machine
from tf_logreg.model import areas as curves
from tf_logreg.model import thresholds
from tf_logreg.results import intervals

CALIBRATION_BINS = 15
_BINS = 20  # of the probability of class 1
MOST_DENSE_CLASSES = 1000  # most classes for which the confusion is a matrix: 8 MB


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log p of each class, float64 [C, B], from logits [B, 1] (sigmoid) or [B, C] (softmax).

    Classes come first: sums over them then run along rows, which is how NumPy is fast.
    """
    z = logits.T.astype(np.float64, order="C")
    with np.errstate(invalid="ignore"):  # infinite logits give NaN, which is reported
        if len(z) == 1:
            return np.minimum([-z[0], z[0]], 0) - np.log1p(np.exp(-np.abs(z)))
        z -= z.max(axis=0)
        z -= np.log(np.exp(z).sum(axis=0))
    return z


def log_sigmoid(logits: np.ndarray) -> np.ndarray:
    """Log p of one sigmoid per class, float64 [B, C]; one-vs-rest's probabilities are their softmax."""
    return -np.logaddexp(0, -logits.astype(np.float64))


def predicted_class(logits: np.ndarray) -> np.ndarray:
    """The most probable class, int64 [B]; a tie goes to the lower index."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.int64)
    return logits.argmax(axis=1)


def log_odds(logits: np.ndarray) -> np.ndarray:
    """Log of the odds of class 1 of two, [B], from logits [B, 1] or [B, 2]."""
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def sums(
    logits: np.ndarray, y: np.ndarray, weight: np.ndarray, num_classes: int, cut: float | None = None
) -> dict[str, np.ndarray]:
    """Weighted sums over B rows; adding those of several batches gives the sums of all their rows.

    Args:
        logits: [B, 1] or [B, C].
        y: [B] class indices.
        weight: [B] row weights.
        num_classes: C.
        cut: of two classes, class 1 is predicted where its log odds are above this; None for the most
            probable class.

    Returns:
        num_rows; real_rows, those of weight > 0; weight_sum, weight_square_sum; log_loss_sum in nats, and
        log_loss_square_sum of the squared losses; pairs int64 [k], true class * C + predicted class, in
        order, once per pair that occurs, and pair_weights [k]; prediction_sum [C], of probabilities;
        brier_sum; top_5_sum; calibration [15, 3], in 15 bins of the top probability the sums of weight,
        of that probability and of rows whose most probable class is the true one.
    """
    num_rows = np.int64(len(y))
    # A row of weight 0 is left out, even if its loss is infinite.
    real = slice(None) if weight.all() else weight > 0
    logits, y, weight = logits[real], y[real], weight[real].astype(np.float64)
    log_p, rows, top = log_probabilities(logits), np.arange(len(y)), predicted_class(logits)
    predicted = top if cut is None else (log_odds(logits) > np.float64(cut)).astype(np.int64)
    own_log_p = log_p[y, rows]
    # The row's class is among the first five when fewer than five are more probable.
    in_top_5 = (log_p > own_log_p).sum(axis=0) < 5 if num_classes > 5 else np.ones(len(y))
    p = np.exp(log_p, out=log_p)
    top_p, prediction_sum = p[top, rows], p @ weight
    # p becomes the error. Of two classes both have the same: it is counted once, as is usual.
    p[y, rows] -= 1
    error = np.square(p[0]) if num_classes == 2 else np.einsum("ij,ij->j", p, p)
    # Bins are (0, 1/15], ..., (14/15, 1].
    bins = np.clip(np.ceil(top_p * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    per_bin = [weight, weight * top_p, weight * (top == y)]
    pairs, pair_weights = _pairs(y.astype(np.int64) * num_classes + predicted, weight, num_classes)
    return {
        "num_rows": num_rows,
        "real_rows": np.int64(len(y)),
        "weight_sum": weight.sum(),
        "weight_square_sum": weight @ weight,
        "log_loss_sum": -(weight @ own_log_p),
        "log_loss_square_sum": weight @ np.square(own_log_p),
        "pairs": pairs,
        "pair_weights": pair_weights,
        "prediction_sum": prediction_sum,
        "brier_sum": weight @ error,
        "top_5_sum": weight @ in_top_5,
        "calibration": np.stack([np.bincount(bins, v, CALIBRATION_BINS) for v in per_bin], axis=1),
    }


def _pairs(pair: np.ndarray, weight: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs in order, and the weight of each; pair [B] is true class * C + predicted class."""
    if num_classes**2 <= len(pair):  # no need to sort them
        pairs = np.flatnonzero(np.bincount(pair, minlength=1))
        return pairs, np.bincount(pair, weight, minlength=1)[pairs]
    pairs, place = np.unique(pair, return_inverse=True)
    return pairs, np.bincount(place, weight, len(pairs)).astype(np.float64)  # of no rows it is whole


def added(total: dict[str, np.ndarray], part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sums over the rows of both arguments."""
    both = {name: total[name] + part[name] for name in total if name not in ("pairs", "pair_weights")}
    pairs, weights = total["pairs"], total["pair_weights"]
    place = np.searchsorted(pairs, part["pairs"])
    known = np.zeros(len(place), bool)
    inside = place < len(pairs)
    known[inside] = pairs[place[inside]] == part["pairs"][inside]
    weights = weights.copy()
    weights[place[known]] += part["pair_weights"][known]
    return both | {
        "pairs": np.insert(pairs, place[~known], part["pairs"][~known]),
        "pair_weights": np.insert(weights, place[~known], part["pair_weights"][~known]),
    }


def confusion(total: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The row weight of each true class and predicted class.

    Returns:
        confusion [C, C], true class by predicted class. Above `MOST_DENSE_CLASSES` classes, the pairs that
        occur as confusion_true int64 [k], confusion_predicted int64 [k] and confusion_weight [k].
    """
    num_classes, weights = len(total["prediction_sum"]), total["pair_weights"]
    true, predicted = np.divmod(total["pairs"], num_classes)
    if num_classes > MOST_DENSE_CLASSES:
        return {
            "confusion_true": true,
            "confusion_predicted": predicted,
            "confusion_weight": weights,
        }
    dense = np.zeros((num_classes, num_classes))
    dense[true, predicted] = weights
    return {"confusion": dense}


def from_sums(total: dict[str, np.ndarray]) -> dict:
    """Weighted means over all rows, as plain numbers and lists over classes, for JSON.

    num_rows; log_loss (nats); accuracy; balanced_accuracy, the mean recall of the classes present;
    brier_score (p - y)^2, with more than two classes summed over them; expected_calibration_error
    (Guo et al., ICML 2017, eq. 3); top_5_accuracy from six classes on; per_class precision, recall
    and f1, 0 where nothing was predicted or present; and of the old TensorFlow estimator
    accuracy_baseline, the share of the largest class, label/mean and prediction/mean (of class 1, or
    of each class with more than two). None where it is undefined, as without any weight, or no finite
    number; log_loss_missing then says why. log_loss_interval and accuracy_interval are of 95%; None where
    rows weigh differently, and intervals_missing says so.
    """
    weight, num_classes = total["weight_sum"], len(total["prediction_sum"])
    true, predicted = np.divmod(total["pairs"], num_classes)
    labels, predictions, hits = (
        np.bincount(of, total["pair_weights"] * counts, num_classes)
        for of, counts in ((true, 1), (predicted, 1), (true, true == predicted))
    )
    recall, precision = _ratio(hits, labels), _ratio(hits, predictions)
    _, confidence, correct = total["calibration"].T
    means = {
        "log_loss": total["log_loss_sum"],
        "accuracy": hits.sum(),
        "brier_score": total["brier_sum"],
        "expected_calibration_error": np.abs(correct - confidence).sum(),
        "accuracy_baseline": labels.max(),
        "label/mean": labels,
        "prediction/mean": total["prediction_sum"],
    }
    if len(labels) >= 6:
        means["top_5_accuracy"] = total["top_5_sum"]
    with np.errstate(invalid="ignore"):
        numbers = {"num_rows": total["num_rows"]} | {name: value / weight for name, value in means.items()}
        # Classes without rows have recall 0 here and are not counted.
        numbers["balanced_accuracy"] = recall.sum() / (labels > 0).sum()
    numbers["per_class"] = {
        "precision": precision,
        "recall": recall,
        "f1": _ratio(2 * hits, labels + predictions),
    }
    if len(labels) == 2:
        for name in ("label/mean", "prediction/mean"):
            numbers[name] = numbers[name][1]
    plain = _plain(numbers)
    if weight > 0 and plain["log_loss"] is None:
        plain["log_loss_missing"] = "the loss of some rows is infinite or no number"
    return plain | _intervals(total, plain)


def _intervals(total: dict[str, np.ndarray], numbers: dict) -> dict:
    """The intervals of `from_sums`."""
    count, weight = int(total["real_rows"]), float(total["weight_sum"])
    if count * total["weight_square_sum"] > weight * weight * (1 + 1e-9):
        why = {"intervals_missing": "the rows' weights differ"}
        return {"log_loss_interval": None, "accuracy_interval": None} | why
    loss, accuracy = numbers["log_loss"], numbers["accuracy"]
    square = float(total["log_loss_square_sum"]) / weight if count else np.nan
    return {
        "log_loss_interval": None if loss is None else intervals.of_mean(loss, square, count),
        "accuracy_interval": None if accuracy is None else intervals.of_share(accuracy, count),
    }


def calibration(total: dict[str, np.ndarray]) -> np.ndarray:
    """[15, 3]: weight, mean top probability and accuracy of each bin; the last two NaN in an empty one."""
    weight = total["calibration"][:, :1]
    with np.errstate(invalid="ignore"):
        return np.hstack([weight, total["calibration"][:, 1:] / weight])


def ranking(logits: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Values by which rows are sorted for the areas, from logits [B, 1] or [B, C].

    Returns:
        columns [B, m] and shift float64 [B]: columns - shift are the log odds of class 1 where there are two
        classes, else log p of each.
    """
    if num_classes == 2:
        shift = logits[:, 0].astype(np.float64) if logits.shape[1] == 2 else np.zeros(len(logits))
        return logits[:, -1:], shift
    # Sorting log p is sorting p, without the ties where p rounds to 1.
    z = logits.T.astype(np.float64, order="C")
    top = z.max(axis=0)
    return logits, top + np.log(np.exp(z - top).sum(axis=0))


def areas(columns: Iterable[np.ndarray], y: np.ndarray, weight: np.ndarray, num_classes: int) -> dict:
    """Areas under the ROC curve and, as average precision, the precision-recall curve; exact.

    With two classes they are of class 1; with more, the mean over classes of each against the rest.

    Args:
        columns: for each class, float64 [n] by which rows are sorted; only for class 1 with two classes.
        y: [n]. weight: [n], above 0.
        num_classes: C; every class has rows.

    Returns:
        roc_auc and pr_auc, and with two classes roc_auc_interval, of 95%; all None if a value is NaN, and
        areas_missing says why. The interval is None where rows weigh differently, too.
    """
    classes = [1] if num_classes == 2 else range(num_classes)

    def of_class(pair: tuple[int, np.ndarray]) -> curves.Areas | None:
        c, score = pair
        return curves.areas(y == c, score, weight) if np.isfinite(score).all() else None

    found = list(machine.in_parallel(of_class, zip(classes, columns, strict=True)))
    if None in found:
        return no_areas("the logits of some rows are infinite or no number")
    roc_auc, pr_auc = np.mean([(one.roc, one.precision) for one in found], axis=0).tolist()
    interval = intervals.of_area(roc_auc, found[0].roc_deviation) if num_classes == 2 else None
    return {"roc_auc": roc_auc, "pr_auc": pr_auc, "roc_auc_interval": interval}


def by_threshold(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[dict, dict]:
    """What thresholds give, and what the highest scores hold, of two classes.

    Args:
        score: [n] finite, log odds of class 1. y: [n], both classes. weight: [n], above 0.

    Returns:
        numbers: ks, the greatest distance between the score's distributions in both classes, ks_threshold,
        the probability where that is, and lift_top_tenth, how many times its share class 1 has in the rows of
        the highest tenth; arrays: those of `thresholds.table` and `thresholds.gains`, as 'thresholds/recall'
        and the like, and scores/share [2, 20], the share of each class in 20 bins of the probability.
    """
    found = thresholds.cuts(y == 1, score, weight)
    gains = thresholds.gains(found)
    distance, at = thresholds.kolmogorov_smirnov(found)
    numbers = {"ks": distance, "ks_threshold": at, "lift_top_tenth": float(gains["lift"][0])}
    tables = {"thresholds": thresholds.table(found), "gains": gains}
    arrays = {
        f"{name}/{column}": values for name, table in tables.items() for column, values in table.items()
    }
    probability, weight = scipy.special.expit(score), weight.astype(np.float64)
    by_class = [np.histogram(probability[y == c], _BINS, (0, 1), weights=weight[y == c])[0] for c in (0, 1)]
    arrays["scores/share"] = np.array([one / one.sum() for one in by_class])
    return numbers, arrays


def no_areas(reason: str) -> dict:
    """Metrics in place of the areas where there are none."""
    return {"roc_auc": None, "pr_auc": None, "roc_auc_interval": None, "areas_missing": reason}


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; 0 where both are 0."""
    return np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator > 0)


def _plain(value):
    """Arrays and NumPy scalars in a dict -> lists and numbers; None for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    return value.item() if np.isfinite(value) else None
