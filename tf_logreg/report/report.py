"""A finished run -> `report.html`: one file that needs neither a network nor scripts.

The page says in words what the numbers mean, and shows the numbers beside them. Sentences are in `page.html`,
the looks in `style.css`; here is only what has to be chosen or counted for them.
"""

import dataclasses
import json

import jinja2
import numpy as np
from markupsafe import Markup

from tf_logreg import names, storage
from tf_logreg.model import summary
from tf_logreg.model.model import BIAS, Model
from tf_logreg.report import pictures
from tf_logreg.report.numbers import Numbers, escaped
from tf_logreg.results import workdir as directory
from tf_logreg.tables import description, leaks

NAME = "report.html"
_ROLES = ("test", "validation", "train")  # the first that a run has is what the page speaks of
_MOST_EFFECTS = 20  # features in a picture
_MOST_COEFFICIENTS = 40  # lines of their table
_MOST_IN_PICTURES = 20  # classes
_MOST_CLASSES = 30  # lines of the table of classes
_MOST_CONFUSED = 12  # classes for which the confusion is a table
_MOST_PAIRS = 15  # pairs of confused classes
_MOST_COLUMNS = 200  # of a table, listed
_RATES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # shares of the rows that are called


@dataclasses.dataclass(frozen=True)
class Run:
    """What a report is made from.

    Attributes:
        workdir: as the user names it.
        config: of `config.json`. result: of `result.json`.
        model: in raw units. arrays: of `metrics.npz`.
    """

    workdir: str
    config: dict
    result: dict
    model: Model
    arrays: dict[str, np.ndarray]

    @property
    def title(self) -> str:
        """What the run is about: the label of a table, else the name of its data."""
        data = self.config["data"]
        args = data["args"]
        path = str(args.get("path") or args.get("x") or "").rstrip("/").rpartition("/")[2]
        return data.get("label") or args.get("name") or path or data["source"]

    @property
    def role(self) -> str:
        """The split whose metrics the page speaks of."""
        return next(role for role in _ROLES if role in self.result["metrics"])


def write(folder: storage.Folder) -> None:
    """Writes `report.html` of a finished run into its folder.

    Raises:
        InputError: no finished run of ours, a damaged file, or the folder cannot be written.
    """
    result, model = directory.read_model(folder)
    run = Run(
        folder.path,
        directory.read_record(folder)["config"],
        result,
        model,
        folder.read_arrays("metrics.npz"),
    )
    folder.write_text(NAME, html(run))


def html(run: Run) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tf_logreg", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    coefficients = run.model.coefficients()
    confusion = _confusion(run)
    numbers = Numbers(
        {
            "result.json": run.result,
            "metrics.npz": run.arrays,
            "coefficients.csv": coefficients,
            "computed": {
                "log_loss_without_features": summary.baseline(run.result["metrics"][run.role]),
                "pairs": [weight for *_, weight in confusion],
                "threshold": run.model.threshold,
            },
        }
    )
    return environment.get_template("page.html").render(
        run=run,
        result=run.result,
        model=run.model,
        role=run.role,
        classes=names.told_apart(run.model.class_names),
        show=numbers.show,
        escaped=escaped,
        has=numbers.has,
        warnings=_warnings(run),
        pictures=_pictures(run),
        rows=_rows(coefficients),
        coefficients=coefficients,
        bounds=_bounds(coefficients),
        calibration_has_bars=_rows_of_bins(run) is not None,
        effects_are_odds=_kernel(run.model).shape[1] == 1,
        has_inference=bool(run.result.get("inference")),  # older results have no such field
        listed=_listed_classes(run),
        cuts=_cuts(run),
        confusion=confusion,
        most_confused=_MOST_CONFUSED,
        columns=_columns(run.model),
        settings=json.dumps(run.config, indent=2),
        left_out=_left_out(run),
        style=Markup(_style()),
    )


def _style() -> str:
    """The style sheet."""
    from importlib import resources

    return resources.files("tf_logreg.report").joinpath("style.css").read_text(encoding="utf-8")


def _warnings(run: Run) -> list[str]:
    """What to look at before the numbers are used."""
    result, found = run.result, []
    if (dependence := result.get("dependence")) is not None:
        columns = names.describe(dependence["features"], most=5)
        found.append(f"Coefficients of linearly dependent columns are not identified: {columns}.")
    if result.get("path") and result["path"]["note"]:
        note = result["path"]["note"]
        found.append(f"{note[0].upper()}{note[1:]}")
    schema = run.model.schema
    if schema is not None:
        found += leaks.said(schema.used)
        found += [
            f"{column.name}: {note}"
            for column in schema.used
            for note in column.seen.notes
            if not note.startswith(leaks.MARK)
        ]
    return found


def _pictures(run: Run) -> dict[str, Markup]:
    """SVG elements by name, of what the run has."""
    result, model, arrays, found = run.result, run.model, run.arrays, {}
    if (bins := arrays.get(f"{run.role}/calibration")) is not None and (bins[:, 0] > 0).any():
        found["calibration"] = pictures.calibration(bins, _rows_of_bins(run))
    if f"{run.role}/thresholds/recall" in arrays:
        found |= _curves(run)
    if (shares := arrays.get(f"{run.role}/scores/share")) is not None:
        found["scores"] = pictures.scores(shares, names.told_apart(model.class_names))
    if result.get("path"):
        found["path"] = pictures.path(result["path"])
    if (history := arrays.get("history")) is not None and len(history) > 2:
        above = history[:, 1] - history[:, 1].min()
        found["convergence"] = pictures.convergence(history[above > 0, 0], above[above > 0])
    if (shape := _image(model)) is not None and model.head.outputs <= _MOST_IN_PICTURES:
        found["weights"] = pictures.weights(model.kernel, shape, names.told_apart(model.class_names))
    if model.deviation is not None:
        found |= _effects(model)
    return {name: Markup(svg) for name, svg in found.items()}


def _curves(run: Run) -> dict[str, str]:
    """The pictures of two classes at every threshold."""
    rate, precision, recall, fall_out = (
        run.arrays[f"{run.role}/thresholds/{name}"] for name in ("rate", "precision", "recall", "fall_out")
    )
    share = run.result["metrics"][run.role]["label/mean"]
    return {
        "roc": pictures.roc(fall_out, recall),
        "precision_recall": pictures.precision_recall(recall, precision, share),
        "gains": pictures.gains(rate, recall),
    }


def _rows_of_bins(run: Run) -> np.ndarray | None:
    """How many rows each bin of the calibration has; None where weights are no counts, or rows were seen."""
    bins, values = run.arrays.get(f"{run.role}/calibration"), run.result["metrics"][run.role]
    if bins is None or not values.get("accuracy_interval") or bins[:, 0].sum() != values["num_rows"]:
        return None
    return bins[:, 0]


def _cuts(run: Run) -> list[int]:
    """Which thresholds the page lists, by their place in the arrays: about each tenth of the rows."""
    rate = run.arrays.get(f"{run.role}/thresholds/rate")
    if rate is None:
        return []
    return sorted({int(np.abs(rate - share).argmin()) for share in _RATES})


def _kernel(model: Model) -> np.ndarray:
    """Coefficients [p, m]: one output's where there is one, as where two classes have errors."""
    if model.inference is not None and len(model.inference.outputs) == 1:
        return model.inference.theta[: len(model.kernel)]
    return model.kernel


def _effects(model: Model) -> dict[str, str]:
    """The picture of the coefficients that move logits most, by a standard deviation of their feature."""
    names_ = names.told_apart(model.feature_names)
    effect = _kernel(model) * model.deviation[:, None]
    if effect.shape[1] > 1:
        effect = effect - effect.mean(axis=1, keepdims=True)
    order = np.argsort(-np.abs(effect).max(axis=1), kind="stable")[:_MOST_EFFECTS]
    order = order[np.abs(effect[order]).max(axis=1) > 0]
    if not len(order):
        return {}
    chosen = [names_[j] for j in order]
    if effect.shape[1] > 1:
        if effect.shape[1] > _MOST_IN_PICTURES:
            return {}
        return {
            "effects": pictures.effects_by_class(
                chosen, effect[order], list(names.told_apart(model.class_names))
            )
        }
    interval = None
    if model.inference is not None:
        ends = np.stack(model.inference.interval, axis=-1)[order, 0]
        interval = ends * model.deviation[order, None]
    return {"effects": pictures.effects(chosen, effect[order, 0], interval)}


def _image(model: Model) -> tuple[int, int] | None:
    """(height, width) where the features are the pixels of a square image, told by their names or number."""
    p = len(model.kernel)
    side = round(p**0.5)
    first = model.feature_names[0]
    named = first.startswith("pixel") or (side >= 8 and first == "x0")
    return (side, side) if model.schema is None and named and side * side == p and side >= 4 else None


def _rows(coefficients: dict[str, list]) -> list[int]:
    """Which lines of `coefficients.csv` the page lists: the largest effects, in their order in the file."""
    count = len(coefficients["coefficient"])
    size = np.abs(coefficients.get("per_deviation", coefficients["coefficient"]))
    is_bias = np.array(coefficients["feature"], object) == BIAS
    order = np.argsort(np.where(is_bias, -np.inf, -size), kind="stable")[:_MOST_COEFFICIENTS]
    return sorted(order.tolist()) if count > _MOST_COEFFICIENTS else list(range(count))


def _bounds(coefficients: dict[str, list]) -> dict[str, list]:
    """By column of `coefficients.csv` that the page shows to proven digits, bounds on its errors, or None."""
    missing = [None] * len(coefficients["coefficient"])
    bound = coefficients.get("error_bound", missing)
    if bound is missing or "per_deviation" not in coefficients:
        return {"coefficient": bound, "per_deviation": missing}
    value, per_deviation = (np.abs(coefficients[name]) for name in ("coefficient", "per_deviation"))
    unit = np.divide(per_deviation, value, out=np.full_like(value, np.nan), where=value > 0)
    return {"coefficient": bound, "per_deviation": (unit * bound).tolist()}


def _listed_classes(run: Run) -> list[int]:
    """The classes that the page lists: all, or those of the lowest recall."""
    recall = run.result["metrics"][run.role].get("per_class", {}).get("recall", [])
    if len(recall) <= _MOST_CLASSES:
        return list(range(len(recall)))
    order = np.argsort([1.0 if value is None else value for value in recall], kind="stable")
    return order[:_MOST_CLASSES].tolist()


def _confusion(run: Run) -> list[tuple[int, int, float]]:
    """(true class, class that was named, weight of the rows), the most confused pairs first."""
    if (dense := run.arrays.get(f"{run.role}/confusion")) is not None:
        true, named = np.nonzero(dense)
        weight = dense[true, named]
    else:
        parts = (run.arrays.get(f"{run.role}/confusion_{part}") for part in ("true", "predicted", "weight"))
        true, named, weight = ([] if part is None else part for part in parts)
    pairs = zip(np.array(true).tolist(), np.array(named).tolist(), np.array(weight).tolist(), strict=True)
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    return sorted(wrong, key=lambda pair: -pair[2])[:_MOST_PAIRS]


def _columns(model: Model) -> list[tuple[str, ...]]:
    """Of a table, each column: its name, type, share that is missing, values and what it becomes."""
    if model.schema is None:
        return []
    return [description.cells(column) for column in model.schema.columns[:_MOST_COLUMNS]]


def _left_out(run: Run) -> list[str]:
    """What a run has and the page does not show."""
    found, model = [], run.model
    if (count := model.kernel.size + model.bias.size) > _MOST_COEFFICIENTS:
        found.append(f"{count - _MOST_COEFFICIENTS:,} coefficients: they are in coefficients.csv")
    if (count := len(model.class_names)) > _MOST_CLASSES:
        found.append(f"{count - _MOST_CLASSES:,} classes of better recall: they are in result.json")
    if model.schema is not None and (count := len(model.schema.columns)) > _MOST_COLUMNS:
        found.append(f"{count - _MOST_COLUMNS:,} columns: they are in schema.json")
    return found
