"""The bootstrap of a model: its coefficients and its measures in replicates of the rows."""

from __future__ import annotations

import dataclasses

import numpy as np

NAME = "bootstrap.npz"


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """R replicates of a fit, each to rows that were drawn again.

    Attributes:
        kernel: [R, p, m], bias: [R, m], in raw units, as a model has them.
        log_loss: [R] nats, of the rows that a replicate has not drawn; NaN without any.
        roc_auc: [R] likewise, of a sigmoid; NaN where there is none.
        error: [R], how far its coefficients are at most from its optimum, in standard deviations of these
            in all replicates; infinite where that is not known.
        level: of the intervals, in (0, 1).
        done: [R] bool, whether it came near an optimum; what is said of replicates is of these.
    """

    kernel: np.ndarray
    bias: np.ndarray
    log_loss: np.ndarray
    roc_auc: np.ndarray
    error: np.ndarray
    done: np.ndarray
    level: float

    def theta(self, has_bias: bool, reference: int | None = None) -> np.ndarray:
        """Coefficients [k, q, J] of those that are done, the bias last; less those of a class, if given."""
        found = np.concatenate([self.kernel, *[self.bias[:, None]] * has_bias], axis=1)[self.done]
        if reference is None:
            return found
        return np.delete(found - found[:, :, [reference]], reference, axis=2)

    def columns(self, theta: np.ndarray, replicates: np.ndarray) -> dict[str, np.ndarray]:
        """What a table of coefficients has beside them, [q, J] each, by name; NaN where no replicate is done.

        Args:
            theta: [q, J], the fit's. replicates: [k, q, J], from `theta`.

        Returns:
            'boot_error', the standard deviation; 'boot_low' and 'boot_high', the percentiles; 'basic_low' and
            'basic_high', these mirrored at the fit's; 'selected', the share of replicates that are not zero.
        """
        if len(replicates) < 2:
            replicates = np.full((2, *theta.shape), np.nan)
        low, high = interval(replicates, self.level)
        return {
            "boot_error": replicates.std(axis=0, ddof=1),
            "boot_low": low,
            "boot_high": high,
            "basic_low": 2 * theta - high,
            "basic_high": 2 * theta - low,
            "selected": np.where(np.isnan(low), np.nan, (replicates != 0).mean(axis=0)),
        }

    def measure(self, name: str) -> tuple[float, float, float] | None:
        """Mean and interval of 'log_loss' or 'roc_auc' beside the rows drawn; None where there are none."""
        values = getattr(self, name)[self.done]
        values = values[np.isfinite(values)]
        return (float(values.mean()), *map(float, interval(values, self.level))) if len(values) > 1 else None


def interval(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles along the first axis that leave (1 - level) / 2 of the values on either side."""
    tail = (1 - level) / 2
    return np.quantile(values, tail, axis=0), np.quantile(values, 1 - tail, axis=0)


def to_arrays(found: Bootstrap) -> dict[str, np.ndarray]:
    """As `bootstrap.npz` holds it."""
    return {field.name: np.array(getattr(found, field.name)) for field in dataclasses.fields(found)}


def of_arrays(arrays: dict[str, np.ndarray]) -> Bootstrap:
    """Back from `to_arrays`; KeyError or ValueError where it is none of ours."""
    plain = {field.name: arrays[field.name] for field in dataclasses.fields(Bootstrap)}
    return Bootstrap(**plain | {"level": float(plain["level"])})
