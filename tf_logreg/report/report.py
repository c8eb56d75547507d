"""A finished run -> `report.html`: one file that needs neither a network nor scripts.

The page says in words what the numbers mean, and shows the numbers beside them. Sentences are in `page.html`,
the looks in `style.css`, what is chosen and counted for them in `chosen.py`.
"""

import json
from importlib import resources

import jinja2
import numpy as np
from markupsafe import Markup

from tf_logreg import names, storage
from tf_logreg.model import summary
from tf_logreg.model.model import Model
from tf_logreg.report import chosen, pictures
from tf_logreg.report.chosen import Run
from tf_logreg.report.numbers import Numbers, escaped
from tf_logreg.results import workdir as directory

NAME = "report.html"
_MOST_EFFECTS = 20  # features in a picture
_MOST_IN_PICTURES = 20  # classes


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
    coefficients = chosen.coefficients(run.model)
    confusion = chosen.confused(run)
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
        warnings=chosen.warnings(run),
        pictures=_pictures(run),
        rows=chosen.lines(coefficients),
        coefficients=coefficients,
        bounds=chosen.bounds(coefficients),
        calibration_has_bars=chosen.rows_of_bins(run) is not None,
        effects_are_odds=_kernel(run.model).shape[1] == 1,
        has_inference=bool(run.result.get("inference")),  # older results have no such field
        listed=chosen.classes(run),
        cuts=chosen.cuts(run),
        confusion=confusion,
        most_confused=chosen.MOST_CONFUSED,
        columns=chosen.columns(run.model),
        settings=json.dumps(run.config, indent=2),
        left_out=chosen.left_out(run),
        style=Markup(resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")),
    )


def _pictures(run: Run) -> dict[str, Markup]:
    """SVG elements by name, of what the run has."""
    result, model, arrays, found = run.result, run.model, run.arrays, {}
    if (bins := arrays.get(f"{run.role}/calibration")) is not None and (bins[:, 0] > 0).any():
        found["calibration"] = pictures.calibration(bins, chosen.rows_of_bins(run))
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


def _kernel(model: Model) -> np.ndarray:
    """Coefficients [p, m]: one output's where there is one, as where two classes have errors."""
    if model.inference is not None and len(model.inference.outputs) == 1:
        return model.inference.theta[: len(model.kernel)]
    return model.kernel


def _effects(model: Model) -> dict[str, str]:
    """The picture of the coefficients that move logits most, by a standard deviation of their feature."""
    if _kernel(model).shape[1] > _MOST_IN_PICTURES:
        return {}
    effect = _kernel(model) * model.deviation[:, None]
    if effect.shape[1] > 1:
        effect = effect - effect.mean(axis=1, keepdims=True)
    order = np.argsort(-np.abs(effect).max(axis=1), kind="stable")[:_MOST_EFFECTS]
    order = order[np.abs(effect[order]).max(axis=1) > 0]
    if not len(order):
        return {}
    features = names.told_apart(model.feature_names)
    shown = [features[j] for j in order]
    if effect.shape[1] > 1:
        classes = list(names.told_apart(model.class_names))
        return {"effects": pictures.effects_by_class(shown, effect[order], classes)}
    interval = None
    if model.inference is not None:
        ends = np.stack(model.inference.interval, axis=-1)[order, 0]
        interval = ends * model.deviation[order, None]
    return {"effects": pictures.effects(shown, effect[order, 0], interval)}


def _image(model: Model) -> tuple[int, int] | None:
    """(height, width) where the features are the pixels of a square image, told by their names or number."""
    p = len(model.kernel)
    side = round(p**0.5)
    first = model.feature_names[0]
    named = first.startswith("pixel") or (side >= 8 and first == "x0")
    return (side, side) if model.schema is None and named and side * side == p and side >= 4 else None
