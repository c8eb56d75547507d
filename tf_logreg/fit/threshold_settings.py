"""What the section threshold may ask for."""

from collections.abc import Iterator

from ml_collections import ConfigDict

METRICS = ("accuracy", "f1", "balanced_accuracy", "youden", "cost")
_RULES = ("metric", "at_recall", "at_precision", "at_rate")  # that choose a threshold by rows


def asked(config: ConfigDict) -> str:
    """The field of the section threshold that is given: value, metric, at_recall, ...; '' for none."""
    return next((name for name in ("value", *_RULES) if config.threshold[name]), "")


def faults(config: ConfigDict) -> Iterator[str]:
    """A line for each fault: the field, what is expected and what came."""
    options, data = config.threshold, config.data
    given = [name for name in ("value", *_RULES) if options[name]]
    if len(given) > 1:
        received = ", ".join(f"threshold.{name}={options[name]!r}" for name in given)
        yield f"threshold: expected one of value, {', '.join(_RULES)}. Received: {received}."
    if not 0 <= options.value < 1:
        yield f"threshold.value: expected a probability in (0, 1), or 0.0. Received: {options.value!r}."
    for name in ("at_recall", "at_precision", "at_rate"):
        if not 0 <= options[name] <= 1:
            yield f"threshold.{name}: expected a share in (0, 1], or 0.0. Received: {options[name]!r}."
    if options.metric not in ("", *METRICS):
        known = ", ".join(METRICS)
        yield f"threshold.metric: expected one of {known} or ''. Received: {options.metric!r}."
    for name in ("cost_fp", "cost_fn"):
        if not 0 < options[name] < float("inf"):
            yield f"threshold.{name}: expected a finite number > 0. Received: {options[name]!r}."
        elif options[name] != 1 and options.metric != "cost":
            received = f"Received: {options[name]!r}."
            yield f"threshold.{name}: expected 1.0 without threshold.metric='cost'. {received}"
    held_out = data.validation_fraction or data.validation_split or config.cv.folds
    if set(given) - {"value"} and not held_out:
        name = next(name for name in given if name != "value")
        yield (
            f"threshold.{name}: expected data.validation_fraction, data.validation_split, or path.penalty "
            "with cv.folds beside it: a threshold that is chosen on training rows is too sure of itself. "
            f"Received: {options[name]!r} alone."
        )
