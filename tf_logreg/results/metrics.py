"""Metrics in float64, as sums that can be added over batches and workers, and areas from sorted logits."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

CALIBRATION_BINS = 15


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log p of each class, float64 [B, C], from logits [B, 1] (sigmoid) or [B, C] (softmax)."""
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        return -np.logaddexp(0, np.hstack([logits, -logits]))
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def log_sigmoid(logits: np.ndarray) -> np.ndarray:
    """Log p of one sigmoid a class, float64 [B, C]: one-vs-rest's probabilities are the softmax of these."""
    return -np.logaddexp(0, -logits.astype(np.float64))


def predicted_class(logits: np.ndarray) -> np.ndarray:
    """The most probable class, int64 [B]; a tie goes to the lower index."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.int64)
    return logits.argmax(axis=1)


def sums(logits: np.ndarray, y: np.ndarray, weight: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """Weighted sums over B rows; adding those of several batches gives the sums of all their rows.

    Args:
        logits: [B, 1] or [B, C].
        y: [B] class indices.
        weight: [B] row weights.
        num_classes: C.

    Returns:
        num_rows; weight_sum; log_loss_sum in nats; confusion [C, C], true class by predicted class;
        prediction_sum [C], of probabilities; brier_sum; top_5_sum; calibration [15, 3], in 15 bins of
        the top probability the sums of weight, of that probability and of correct rows.
    """
    num_rows = np.int64(len(y))
    # A row of weight 0 is absent, even when its loss is infinite.
    real = weight > 0
    logits, y, weight = logits[real], y[real], weight[real].astype(np.float64)
    log_p, rows, predicted = log_probabilities(logits), np.arange(len(y)), predicted_class(logits)
    p = np.exp(log_p)
    # Of two classes both would have the same error: it is counted once, as is usual.
    error = np.square(p - np.eye(num_classes)[y]).sum(axis=1) / (2 if num_classes == 2 else 1)
    top_p = p[rows, predicted]
    # Bins are (0, 1/15], ..., (14/15, 1].
    bins = np.clip(np.ceil(top_p * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    per_bin = [weight, weight * top_p, weight * (predicted == y)]
    return {
        "num_rows": num_rows,
        "weight_sum": weight.sum(),
        "log_loss_sum": -(weight * log_p[rows, y]).sum(),
        "confusion": np.bincount(y * num_classes + predicted, weight, num_classes**2).reshape(
            num_classes, -1
        ),
        "prediction_sum": weight @ p,
        "brier_sum": weight @ error,
        # The row's class is among the first five when fewer than five are more probable.
        "top_5_sum": weight @ ((log_p > log_p[rows, y][:, None]).sum(axis=1) < 5),
        "calibration": np.stack([np.bincount(bins, v, CALIBRATION_BINS) for v in per_bin], axis=1),
    }


def from_sums(total: dict[str, np.ndarray]) -> dict:
    """Weighted means over all rows, as plain numbers and lists over classes, for JSON.

    num_rows; log_loss (nats); accuracy; balanced_accuracy, the mean recall of the classes present;
    brier_score (p - y)^2, with more than two classes summed over them; expected_calibration_error
    (Guo et al., ICML 2017, eq. 3); top_5_accuracy from six classes on; per_class precision, recall
    and f1, 0 where nothing was predicted or present; and of the old TensorFlow estimator
    accuracy_baseline, the share of the largest class, label/mean and prediction/mean (of class 1, or
    of each class with more than two). None where it is undefined, as without any weight.
    """
    weight, confusion = total["weight_sum"], total["confusion"]
    hits, labels, predictions = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
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
    return _plain(numbers)


def calibration(total: dict[str, np.ndarray]) -> np.ndarray:
    """[15, 3]: weight, mean top probability and accuracy of each bin; the last two NaN in an empty one."""
    weight = total["calibration"][:, :1]
    with np.errstate(invalid="ignore"):
        return np.hstack([weight, total["calibration"][:, 1:] / weight])


def areas(logits: np.ndarray, y: np.ndarray, weight: np.ndarray, num_classes: int) -> dict:
    """Areas under the ROC curve and, as average precision, the precision-recall curve; exact.

    From sorted logits; with two classes of class 1, with more the mean over classes of each against
    the rest.

    Args:
        logits: [n, 1] or [n, C]. y: [n]. weight: [n].
        num_classes: C.

    Returns:
        roc_auc and pr_auc; both None, and areas_missing says why, when a class has no rows.
    """
    # Columns are taken out of the logits one at a time: a second [n, C] may not fit.
    real = weight > 0
    y, weight = y[real], weight[real]
    absent = int((np.bincount(y, minlength=num_classes) == 0).sum())
    if absent:
        return no_areas(f"{absent} of {num_classes} classes have no rows here")
    if num_classes == 2:
        score = logits[real, -1].astype(np.float64)
        if logits.shape[1] == 2:
            score -= logits[real, 0]
        pairs = [_areas(y == 1, score, weight)]
    else:
        # Sorting log p is sorting p, without the ties where p rounds to 1.
        top = logits.max(axis=1)[real].astype(np.float64)
        rest = np.log(sum(np.exp(logits[real, c] - top) for c in range(num_classes)))
        pairs = [_areas(y == c, logits[real, c] - top - rest, weight) for c in range(num_classes)]
    roc_auc, pr_auc = np.mean(pairs, axis=0).tolist()
    return {"roc_auc": roc_auc, "pr_auc": pr_auc}


def no_areas(reason: str) -> dict:
    """What stands in for the areas where there are none."""
    return {"roc_auc": None, "pr_auc": None, "areas_missing": reason}


def _areas(member: np.ndarray, score: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Areas under the ROC and the precision-recall curve of one class against the rest."""
    found = (area(member, score, sample_weight=weight) for area in (roc_auc_score, average_precision_score))
    return tuple(found)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, 0 where both are 0."""
    return np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator > 0)


def _plain(value):
    """Arrays and NumPy scalars -> lists and numbers, down a dict; None for what JSON has no number for."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    return value.item() if np.isfinite(value) else None
