"""Metrics in float64, as sums that can be added over batches and workers, and areas from sorted logits."""

import numpy as np
from sklearn.metrics import roc_auc_score


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log p of each class, float64 [B, C], from logits [B, 1] (sigmoid) or [B, C] (softmax)."""
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        return -np.logaddexp(0, np.hstack([logits, -logits]))
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


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
        num_rows; weight_sum; log_loss_sum in nats; confusion [C, C], true class by predicted class.
    """
    weight = weight.astype(np.float64)
    loss = -log_probabilities(logits)[np.arange(len(y)), y]
    cells = np.bincount(y * num_classes + predicted_class(logits), weight, num_classes**2)
    return {
        "num_rows": np.int64(len(y)),
        "weight_sum": weight.sum(),
        # A row of weight 0 is absent, even when its loss is infinite.
        "log_loss_sum": (weight * loss)[weight > 0].sum(),
        "confusion": cells.reshape(num_classes, num_classes),
    }


def from_sums(total: dict[str, np.ndarray]) -> dict[str, float]:
    """num_rows, log_loss (nats), accuracy: weighted means over all rows."""
    return {
        "num_rows": int(total["num_rows"]),
        "log_loss": float(total["log_loss_sum"] / total["weight_sum"]),
        "accuracy": float(np.trace(total["confusion"]) / total["weight_sum"]),
    }


def roc_auc(
    logits: np.ndarray, y: np.ndarray, weight: np.ndarray, num_classes: int
) -> tuple[float | None, str]:
    """Area under the ROC curve, exact, from sorted logits.

    With two classes that of class 1, with more the mean over classes of each against the rest.

    Args:
        logits: [n, 1] or [n, C]. y: [n]. weight: [n].

    Returns:
        The area and '', or None and the reason.
    """
    real = weight > 0
    logits, y, weight = logits[real], y[real], weight[real]
    present = np.bincount(y, minlength=num_classes) > 0
    if not present.all() or not len(y):
        return None, f"{int((~present).sum())} of {num_classes} classes have no rows here"
    # Sorting log p is sorting p, without the ties where p rounds to 1.
    scores = log_probabilities(logits)
    if num_classes == 2:
        scores = logits[:, :1] if logits.shape[1] == 1 else logits[:, 1:] - logits[:, :1]
        return float(roc_auc_score(y, scores[:, 0], sample_weight=weight)), ""
    areas = [roc_auc_score(y == c, scores[:, c], sample_weight=weight) for c in range(num_classes)]
    return float(np.mean(areas)), ""
