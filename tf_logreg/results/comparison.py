"""Two models on the same rows: paired differences with intervals, and coefficients side by side."""

import dataclasses
import hashlib

import numpy as np

from tf_logreg.data import host_rows
from tf_logreg.data.source import Source
from tf_logreg.model import areas
from tf_logreg.model.model import Model
from tf_logreg.names import shortened
from tf_logreg.results import intervals

MOST_COEFFICIENTS = 10_000  # that compare.json lists


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model says of n rows.

    Attributes:
        loss: [n] log loss in nats. right: [n] bool. score: [n] log odds of class 1 of two; None of more.
        y: [n] class indices. weight: [n], above 0.
    """

    loss: np.ndarray
    right: np.ndarray
    score: np.ndarray | None
    y: np.ndarray
    weight: np.ndarray


def answers(model: Model, source: Source, rows: np.ndarray) -> Answers:
    """What a model says of the rows of weight > 0; both are in raw units."""
    parts = []
    for batch in host_rows.host_batches(source, rows):
        real = batch.weight > 0
        logits, y = model.logits(batch.x[real], batch.offset[real]), batch.y[real]
        loss = -model.head.log_probabilities(logits)[np.arange(len(y)), y]
        score = model.head.log_odds(logits) if model.head.num_classes == 2 else loss
        parts.append((loss, model.classes(logits) == y, score, y, batch.weight[real].astype(np.float64)))
    loss, right, score, y, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Answers(loss, right, score if model.head.num_classes == 2 else None, y, weight)


def digest(rows: np.ndarray, found: Answers, files: list) -> str:
    """Of n rows: which they are of which files, their labels and weights."""
    made = hashlib.sha256(repr(files).encode())
    for array in (rows, found.y.astype(np.int64), found.weight):
        made.update(np.ascontiguousarray(array).view(np.uint8))
    return made.hexdigest()


def differences(one: Answers, other: Answers) -> dict:
    """Metrics of two models over the same rows, and their paired differences, the first less the second.

    Returns:
        By 'log_loss', 'accuracy' and, of two classes that both have rows, 'roc_auc': workdir, baseline,
        difference and interval, of 95%: normal, by the differences of the rows; of the accuracy after Agresti
        and Min (Statistics in Medicine 24, 2005); of the area by DeLong et al. (1988). None where rows weigh
        differently, as 'intervals_missing' then says. Of the accuracy also only_workdir and only_baseline,
        the rows that one model alone has right.
    """
    weight, count = one.weight, len(one.weight)
    alike = bool((weight == weight[0]).all())
    found = {"intervals_missing": "" if alike else "the rows' weights differ"}

    def told(first: float, second: float, interval: list[float] | None, **more) -> dict:
        values = {"workdir": first, "baseline": second, "difference": first - second}
        return {**values, "interval": interval if alike else None, **more}

    apart = one.loss - other.loss
    interval = intervals.of_mean(float(apart.mean()), float((apart @ apart) / count), count)
    means = [float(np.average(of.loss, weights=weight)) for of in (one, other)]
    found["log_loss"] = told(*means, interval)
    gained, lost = int((one.right & ~other.right).sum()), int((other.right & ~one.right).sum())
    means = [float(np.average(of.right, weights=weight)) for of in (one, other)]
    interval = intervals.of_paired_shares(gained, lost, count)
    found["accuracy"] = told(*means, interval, only_workdir=gained, only_baseline=lost)
    member = one.y == 1
    if one.score is not None and 0 < member.sum() < count:
        both = [areas.areas(member, of.score, weight).roc for of in (one, other)]
        deviation = areas.deviation_of_difference(member, one.score, other.score)
        found["roc_auc"] = told(*both, intervals.of_difference(both[0] - both[1], deviation))
    return found


def coefficients(one: Model, other: Model) -> dict:
    """Coefficients of two models with the same classes in raw units, by the names of their features.

    Returns:
        feature, class, workdir and baseline: lists of equal length, those that differ most by a standard
        deviation of their feature first; None for what a model does not have. left_out: how many are not
        listed. only_workdir, only_baseline: features of one model alone.
    """
    first, second = _by_name(one), _by_name(other)
    pairs = list(first | second)
    scale = _deviations(other) | _deviations(one)
    apart = {
        pair: abs(first.get(pair, 0.0) - second.get(pair, 0.0)) * scale.get(pair[0], 1.0) for pair in pairs
    }
    listed = sorted(pairs, key=lambda pair: -apart[pair])[:MOST_COEFFICIENTS]
    names = [set(model.feature_names) for model in (one, other)]
    return {
        "feature": [feature for feature, _ in listed],
        "class": [name for _, name in listed],
        "workdir": [first.get(pair) for pair in listed],
        "baseline": [second.get(pair) for pair in listed],
        "left_out": len(pairs) - len(listed),
        "only_workdir": len(names[0] - names[1]),
        "only_baseline": len(names[1] - names[0]),
    }


def _by_name(model: Model) -> dict[tuple[str, str], float]:
    """Coefficients by feature and class; of features with the same name the last."""
    outputs = model.class_names[1:] if model.head.outputs == 1 else model.class_names
    return {
        (feature, name): float(value)
        for feature, row in zip(model.feature_names, model.kernel, strict=True)
        for name, value in zip(outputs, row, strict=True)
    }


def _deviations(model: Model) -> dict[str, float]:
    """The features' standard deviations in the training rows, as far as they are known."""
    return (
        {}
        if model.deviation is None
        else dict(zip(model.feature_names, model.deviation.tolist(), strict=True))
    )


def of_configs(one: dict, other: dict) -> dict[str, list]:
    """The fields that differ between two configs, by their dotted names: [of the first, of the second]."""
    first, second = _flat(one), _flat(other)
    return {
        name: [first.get(name), second.get(name)]
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    }


def _flat(config: dict, prefix: str = "") -> dict:
    """A config's fields by their dotted names."""
    found = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def lines(found: dict, most: int = 10) -> list[str]:
    """What `compare.json` holds, for people; `most` coefficients and settings."""
    rows, metrics = found["rows"], found["metrics"]
    text = [
        f"{found['workdir']} beside {found['baseline']}, the same {rows['num_rows']:,} rows ({rows['role']}, "
        f"digest {rows['digest'][:12]}):"
    ]
    for name, label in (("log_loss", "log loss"), ("accuracy", "accuracy"), ("roc_auc", "ROC AUC")):
        if (one := metrics.get(name)) is not None:
            text.append(f"  {label:<9} {_told(one, lower_is_better=name == 'log_loss')}")
    if metrics["intervals_missing"]:
        text.append(f"  95% intervals: none, as {metrics['intervals_missing']}.")
    right = metrics["accuracy"]
    text.append(f"  right only here {right['only_workdir']:,} rows, only there {right['only_baseline']:,}.")
    return text + _coefficient_lines(found["coefficients"], most) + _config_lines(found["config"], most)


def _told(values: dict, *, lower_is_better: bool) -> str:
    """A metric of both, its difference, and what that says."""
    text = f"{values['workdir']:.6f} here, {values['baseline']:.6f} there: {values['difference']:+.6f}"
    if (interval := values["interval"]) is None:
        return text
    low, high = interval
    verdict = "no difference that these rows can tell"
    if low > 0 or high < 0:
        verdict = "better" if (high < 0) == lower_is_better else "worse"
    return f"{text} ({low:+.6f} to {high:+.6f}), {verdict}"


def _coefficient_lines(found: dict, most: int) -> list[str]:
    """The coefficients that differ most, in columns."""
    differing = [
        row
        for row in zip(found["feature"], found["class"], found["workdir"], found["baseline"], strict=True)
        if row[2] != row[3]
    ]
    if not differing:
        return ["  coefficients: the same."]
    text = [f"  coefficients that differ most, of {len(differing) + found['left_out']:,}:"]
    several = len(set(found["class"])) > 1
    for feature, name, here, there in differing[:most]:
        label = shortened(feature, 40) + (f" of {shortened(name, 20)!r}" if several else "")
        text.append(f"    {label:<42} {_number(here):>12} here {_number(there):>12} there")
    for key, where in (("only_workdir", "here"), ("only_baseline", "there")):
        if found[key]:
            text.append(f"    {found[key]:,} features only {where}")
    return text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _config_lines(found: dict[str, list], most: int) -> list[str]:
    """What differs in the configs."""
    if not found:
        return ["  configs: the same."]
    text = ["  configs, here and there:"]
    text += [f"    {name}: {here!r}, {there!r}" for name, (here, there) in list(found.items())[:most]]
    return text + [f"    ... ({len(found)} fields in all)"] * (len(found) > most)
