"""Stops a fit when a validation metric has not improved for some epochs, and remembers the best weights."""

import dataclasses
from collections.abc import Callable

import numpy as np

# Metric -> the sign that makes a lower value better.
METRICS = {"log_loss": 1.0, "accuracy": -1.0, "roc_auc": -1.0}


@dataclasses.dataclass
class EarlyStopping:
    """Early stopping, checked once per epoch; its state is saved in checkpoints.

    Attributes:
        measure: () -> the validation metric of the current weights, or None where it is undefined.
        metric: one of METRICS.
        patience: number of epochs without improvement before training stops.
        restore_best: end with the best weights rather than the last.
        best, best_weights, waited: the best value so far (lower is better), its weights, epochs since.
    """

    measure: Callable[[], float | None]
    metric: str
    patience: int
    restore_best: bool
    best: float = np.inf
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)
    waited: int = 0

    def should_stop(self, weights: list[np.ndarray]) -> bool:
        """Measures the weights at the end of an epoch; whether training should stop."""
        value = self.measure()
        if value is not None and METRICS[self.metric] * value < self.best:
            self.best, self.best_weights, self.waited = METRICS[self.metric] * value, weights, 0
        else:
            self.waited += 1
        return self.waited > self.patience

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint."""
        numbers = {"best": np.float64(self.best), "waited": np.int64(self.waited)}
        return numbers | {f"best_weights/{i}": array for i, array in enumerate(self.best_weights)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Restores the state from the arrays of `state`."""
        self.best, self.waited = float(state["best"]), int(state["waited"])
        self.best_weights = [state[f"best_weights/{i}"] for i in range(len(state) - 2)]
