"""The end of a run as text: how good it is, beside what, what it rests on, and what to type next."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_logreg.model import digits, inference_table
from tf_logreg.names import shortened, told_apart
from tf_logreg.tables import leaks

_ROLES = ("test", "validation", "train")  # the first that a run has is what its numbers are compared on
_MOST_EFFECTS = 5
_MOST_CHARACTERS = 40  # of a name


def lines(found: dict, model: Any = None) -> list[str]:
    """What `result.json` holds, for people.

    Args:
        found: what `result.json` holds.
        model: the `Model` of the run, for its classes and largest effects; None to say nothing of them.
    """
    text = [*fit_lines(found), table(found["metrics"]), *measured_lines(found, model)]
    return text + error_lines(found, model)


def fit_lines(found: dict) -> list[str]:
    """How the fit ended, and what it rests on."""
    objective = shown(found["objective"], ".6f")
    text = [f"{found['status']}: {found['message']}. Objective {objective} nats."]
    if found["certified_gap"] is not None:
        text.append(
            f"  at most {found['certified_gap']:.1e} nats above the optimum, "
            f"{found['relative_gap']:.1e} of the loss without features; {found['passes']:.0f} passes."
        )
    if measured := found.get("measured"):
        text.append(
            f"  saved is the fit to all {found['num_rows']:,} rows (data.refit='all'); measured was the one "
            f"to the {measured['num_rows']:,} training rows, {measured['status']}:"
        )
    text += _distance(found.get("distance"))  # of what was measured
    if found.get("start") is not None:
        text.append(_start(found))
    if found["path"] is not None:
        text.append(_choice(found["path"]))
    return text


def measured_lines(found: dict, model: Any = None) -> list[str]:
    """What the metrics are to be compared with, and the largest effects; arguments are those of `lines`."""
    text = [] if model is None else _of_model(found, model)
    if found["communication"] is not None:
        share = f"{found['communication']:.0%}"
        text.append(f"  {found['num_workers']} workers; communication took about {share} of the fit.")
    return text


def error_lines(found: dict, model: Any = None) -> list[str]:
    """Coefficients with their standard errors, in columns, where these were asked for; else []."""
    if (said := found.get("inference")) and said["missing"]:
        return [f"  {said['missing']}."]
    if model is None:
        return []
    text = bootstrap_lines(found.get("bootstrap"), model)
    if model.inference is None:
        return text
    return text + [
        "  " + line for line in inference_table.lines(model.inference, model.error_bound_of_inference)
    ]


def bootstrap_lines(said: dict | None, model: Any) -> list[str]:
    """What a bootstrap says of the largest effects and of rows that were not drawn; [] without one."""
    if not said:
        return []
    text = f"  bootstrap, {said['done']} of {said['replicates']} replicates, {said['level']:.4g} intervals"
    for label, name in (("log loss", "log_loss"), ("ROC AUC", "roc_auc")):
        if (values := said[name]) is not None:
            text += f"; {label} of rows not drawn {values[0]:.4f} ({values[1]:.4f} to {values[2]:.4f})"
    found = model.coefficients()
    strongest = {name for name, *_ in effects(model)}
    named = [
        f"{name[:_MOST_CHARACTERS]} {found['boot_low'][i]:.3g} to {found['boot_high'][i]:.3g}"
        for i, name in enumerate(found["feature"])
        if name in strongest
    ]
    return [text + ".", f"    coefficients: {'; '.join(named[:_MOST_EFFECTS])}."] if named else [text + "."]


def table(numbers: dict[str, dict]) -> str:
    """Metrics, one line per split."""
    text = []
    for role, values in numbers.items():
        text.append(
            f"  {role:<10} {values['num_rows']:>9,} rows   log loss {shown(values['log_loss'], '.6f')}   "
            f"accuracy {shown(values['accuracy'], '.4f')}   ROC AUC {shown(values['roc_auc'], '.4f')}"
        )
        text += interval_lines(role, values)
        text += slice_lines(values)
    return "\n".join(text)


def interval_lines(role: str, values: dict) -> list[str]:
    """A line on the intervals of a split that no fit has seen, or on why there are none."""
    if role in ("train", "validation"):
        return []
    if why := values.get("intervals_missing"):
        return [f"    95% intervals: none, as {why}."]
    names = {"log loss": "log_loss", "accuracy": "accuracy", "ROC AUC": "roc_auc"}
    found = {label: values.get(f"{name}_interval") for label, name in names.items()}
    told = [f"{label} {pair[0]:.3f} to {pair[1]:.3f}" for label, pair in found.items() if pair]
    return [f"    95% intervals: {', '.join(told)}."] if told else []


def slice_lines(values: dict) -> list[str]:
    """The metrics of a split's rows by the levels of each column of evaluate.slices, a line each."""
    text = []
    for column, levels in values.get("slices", {}).items():
        short = {level: shortened(level, _MOST_CHARACTERS) for level in levels}
        width = max(map(len, short.values()))
        text.append(f"    by {shortened(column, _MOST_CHARACTERS)}:")
        for level, found in levels.items():
            told = [f"log loss {_between(found, 'log_loss')}", f"accuracy {_between(found, 'accuracy')}"]
            if found["roc_auc"] is not None:
                told.append(f"ROC AUC {_between(found, 'roc_auc')}")
            if (share := found.get("label/mean")) is not None:
                told.append(f"share {share:.3f}, predicted {shown(found['prediction/mean'], '.3f')}")
            text.append(f"      {short[level]:<{width}} {found['num_rows']:>9,} rows   {'   '.join(told)}")
    return text


def _between(values: dict, name: str) -> str:
    """A metric and its interval, '0.812 (0.790 to 0.834)'."""
    pair = values.get(f"{name}_interval")
    return shown(values[name], ".3f") + (f" ({pair[0]:.3f} to {pair[1]:.3f})" if pair else "")


def shown(number: float | None, form: str) -> str:
    """A number as text; '-' for null."""
    return "-" if number is None else format(number, form)


def _of_model(found: dict, model: Any) -> list[str]:
    """What the numbers are to be compared with, and the largest effects."""
    role = next((name for name in _ROLES if name in found["metrics"]), None)
    text = []
    if role is not None:
        values = found["metrics"][role]
        loss = shown(baseline(values), ".6f")
        accuracy = shown(values.get("accuracy_baseline"), ".4f")
        text.append(f"  without features: log loss {loss}   accuracy {accuracy}, in the {role} rows.")
        if model.head.outputs == 1:
            share = values["label/mean"]
            name = told_apart(model.class_names)[1]
            text.append(f"  positive class: {name!r}, {shown(share, '.1%')} of the {role} rows.")
            text += _of_decisions(found, values, name)
    if strongest := effects(model):
        named = ", ".join(
            f"{shortened(name, _MOST_CHARACTERS)} {digits.shown(effect, bound, 3, sign='+')}"
            for name, effect, bound in strongest
        )
        what = "the logit that it moves most"
        if model.head.outputs == 1:
            what = f"log odds of {told_apart(model.class_names)[1]!r}"
        text.append(f"  largest effects of one standard deviation, in {what}: {named}.")
    sizes = {role: values["num_rows"] for role, values in found["metrics"].items()}
    if model.schema is not None and sizes.keys() > {"train"} and not found.get("measured"):
        count = sum(sizes.values())
        text.append(f"  data.refit='all' fits this model again to all {count:,} rows, once it is measured.")
    used = () if model.schema is None else model.schema.used
    return text + [f"  {note}" for note in leaks.said(used)]


def _of_decisions(found: dict, values: dict, name: str) -> list[str]:
    """How far the second of two classes can be trusted where it is the answer."""
    per_class = values.get("per_class") or {}
    precision, recall = (per_class.get(what, [None, None])[1] for what in ("precision", "recall"))
    if precision is None or recall is None:
        return []
    text = [
        f"  called {name!r} above probability {_threshold(found)}: precision {precision:.1%}, "
        f"recall {recall:.1%}; PR AUC {shown(values.get('pr_auc'), '.4f')}."
    ]
    if values.get("ks") is not None:
        text.append(
            f"  ranked: the highest tenth has {values['lift_top_tenth']:.2f} times the share of {name!r}; "
            f"KS {values['ks']:.4f} at probability {values['ks_threshold']:.4g}."
        )
    return text


def _threshold(found: dict) -> str:
    """The threshold, and by which rule and rows it was chosen."""
    if not (threshold := found.get("threshold")):
        return "0.5"
    value = f"{threshold['value']:.4g}"
    if not threshold["chosen_on"]:
        return value
    rule = threshold["rule"] if "=" in threshold["rule"] else f"best {threshold['rule']}"
    return f"{value} ({rule} of the {threshold['chosen_on']} rows)"


def baseline(values: dict) -> float | None:
    """The least log loss in nats that a model without features can have on a split's rows."""
    share = values.get("label/mean")
    if share is None or (isinstance(share, list) and None in share):
        return None
    shares = np.array(share if isinstance(share, list) else [share, 1 - share])
    return abs(float(shares[shares > 0] @ np.log(shares[shares > 0])))


def effects(model: Any, most: int = _MOST_EFFECTS) -> list[tuple[str, float, float | None]]:
    """The features that move logits most, by one standard deviation of the training rows; [] if unknown.

    Of several outputs the coefficients less their mean count, and the largest of them is given.

    Returns:
        Name, effect, and how far it is at most from that at the optimum, None where that is not known.
    """
    if model.deviation is None:
        return []
    kernel = model.kernel * model.deviation[:, None]
    bound = model.error_bound
    bound = None if bound is None else bound[: len(kernel)] * model.deviation[:, None]
    if kernel.shape[1] > 1:
        kernel = kernel - kernel.mean(axis=1, keepdims=True)
        bound = None if bound is None else bound + bound.mean(axis=1, keepdims=True)
    at = np.arange(len(kernel)), np.abs(kernel).argmax(axis=1)
    largest = kernel[at]
    order = np.argsort(-np.abs(largest), kind="stable")[:most]
    names = told_apart(model.feature_names)
    known = [None] * len(kernel) if bound is None else bound[at].tolist()
    return [(names[j], float(largest[j]), known[j]) for j in order if largest[j]]


def _distance(found: dict | None) -> list[str]:
    """A line on how far coefficients and decisions are from the optimum's, where that is known."""
    if not found or found["missing"]:
        return []
    text = (
        f"  no coefficient is more than {found['coefficient']:.1e} from the optimum's, per standard deviation"
    )
    if found["test_rows"]:
        count, rows = found["open_decisions"], found["test_rows"]
        open_to = f"{count:,} of {rows:,} test rows could have another class there"
        text += f"; {open_to if count else f'none of {rows:,} test rows could have another class there'}"
    return [text + "."]


def _start(found: dict) -> str:
    """How far above the optimum the run that it started from had ended, and what that is worth."""
    start, fit = found["start"], found.get("measured") or found
    text = f"  started from {start['workdir']}"
    if None not in (start["objective"], fit["objective"]):
        above = start["objective"] - fit["objective"]
        optimal = fit["status"] == "optimal"
        if optimal and above <= fit["certified_gap"]:
            text += ", which had ended at the optimum"
        else:
            share = f" ({abs(above) / fit['objective']:.1%})" if fit["objective"] > 0 else ""
            side, what = "above" if above > 0 else "below", "the optimum" if optimal else "this fit"
            text += f", which had ended {abs(above):.1e} nats{share} {side} {what}"
    role = next(name for name in _ROLES if name in start["metrics"])
    then, now = start["metrics"][role], found["metrics"][role]
    return (
        f"{text}: {role} log loss {shown(then['log_loss'], '.6f')} there, {shown(now['log_loss'], '.6f')} "
        f"here; accuracy {shown(then['accuracy'], '.4f')} there, {shown(now['accuracy'], '.4f')} here."
    )


def _choice(path: dict) -> str:
    """A line with the chosen strength, and a second one if it is the first or last that was tried."""
    scores = path["scores"][path["choice"]]
    mean = None if None in scores else sum(scores) / len(scores)
    metric = path.get("metric", "log_loss").replace("_", " ")
    line = (
        f"  {_penalty(path)}, number {path['choice'] + 1} of {len(path['values'])}: "
        f"held-out {metric} {shown(mean, '.6f')} (all in path.csv, path.png)."
    )
    return line + (f"\n  {path['note'][0].upper()}{path['note'][1:]}" if path.get("note") else "")


def _penalty(path: dict) -> str:
    """The chosen penalty, 'l2=0.01 (C=2.5)'; results of older versions have no C."""
    name, choice = path["penalty"], path["choice"]
    others = [] if path.get("C", [None])[choice:][:1] in ([], [None]) else [f"C={path['C'][choice]:.3g}"]
    if name == "elastic_net":
        name, others = "l1 + l2", [*others, f"l1_ratio={path['l1_ratio'][choice]:.3g}"]
    return f"{name}={path['chosen']:.3g}" + (f" ({', '.join(others)})" if others else "")
