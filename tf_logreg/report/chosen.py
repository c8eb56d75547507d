"""What a page has room for: which coefficients, classes, thresholds and columns of a run it lists."""

import dataclasses

import numpy as np

from tf_logreg import names
from tf_logreg.model.model import BIAS, Model
from tf_logreg.tables import description, leaks

_ROLES = ("test", "validation", "train")  # the first that a run has is what the page speaks of
MOST_CONFUSED = 12  # classes for which the confusion is a table
_MOST_COEFFICIENTS = 40  # lines of their table
_MOST_LAID_OUT = 1_000_000  # coefficients that are laid out as lines, to choose from
_MOST_CLASSES = 30  # lines of the table of classes
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


def warnings(run: Run) -> list[str]:
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


def rows_of_bins(run: Run) -> np.ndarray | None:
    """How many rows each bin of the calibration has; None where weights are no counts, or rows were seen."""
    bins, values = run.arrays.get(f"{run.role}/calibration"), run.result["metrics"][run.role]
    if bins is None or not values.get("accuracy_interval") or bins[:, 0].sum() != values["num_rows"]:
        return None
    return bins[:, 0]


def cuts(run: Run) -> list[int]:
    """Which thresholds the page lists, by their place in the arrays: about each tenth of the rows."""
    rate = run.arrays.get(f"{run.role}/thresholds/rate")
    if rate is None:
        return []
    return sorted({int(np.abs(rate - share).argmin()) for share in _RATES})


def coefficients(model: Model) -> dict[str, list]:
    """Lines to choose from, as `Model.coefficients` has them: all, or of very many the largest effects."""
    if model.kernel.size <= _MOST_LAID_OUT or model.inference is not None:
        return model.coefficients()
    deviation = np.ones(len(model.kernel)) if model.deviation is None else model.deviation
    best = np.full((0, 3), 0.0)  # effect, feature, output
    for output in range(model.kernel.shape[1]):  # one at a time, as there may be a hundred million
        effect = np.abs(model.kernel[:, output] * deviation)
        some = np.argpartition(-effect, min(_MOST_COEFFICIENTS, len(effect)) - 1)[:_MOST_COEFFICIENTS]
        best = np.vstack([best, np.column_stack([effect[some], some, np.full(len(some), output)])])
        best = best[np.argsort(-best[:, 0], kind="stable")[:_MOST_COEFFICIENTS]]
    place = best[np.lexsort((best[:, 2], best[:, 1])), 1:].astype(int)
    outputs = model.class_names[1:] if model.head.outputs == 1 else model.class_names
    found = {
        "feature": [model.feature_names[j] for j, _ in place],
        "class": [outputs[c] for _, c in place],
        "coefficient": [float(model.kernel[j, c]) for j, c in place],
    }
    if model.deviation is not None:
        found["per_deviation"] = [float(model.kernel[j, c] * deviation[j]) for j, c in place]
    return found


def lines(coefficients: dict[str, list]) -> list[int]:
    """Which lines of `coefficients.csv` the page lists: the largest effects, in their order in the file."""
    count = len(coefficients["coefficient"])
    size = np.abs(coefficients.get("per_deviation", coefficients["coefficient"]))
    is_bias = np.array(coefficients["feature"], object) == BIAS
    order = np.argsort(np.where(is_bias, np.inf, -size), kind="stable")[:_MOST_COEFFICIENTS]
    return sorted(order.tolist()) if count > _MOST_COEFFICIENTS else list(range(count))


def bounds(coefficients: dict[str, list]) -> dict[str, list]:
    """By column of `coefficients.csv` that the page shows to proven digits, bounds on its errors, or None."""
    missing = [None] * len(coefficients["coefficient"])
    bound = coefficients.get("error_bound", missing)
    if bound is missing or "per_deviation" not in coefficients:
        return {"coefficient": bound, "per_deviation": missing}
    value, per_deviation = (np.abs(coefficients[name]) for name in ("coefficient", "per_deviation"))
    unit = np.divide(per_deviation, value, out=np.full_like(value, np.nan), where=value > 0)
    return {"coefficient": bound, "per_deviation": (unit * bound).tolist()}


def classes(run: Run) -> list[int]:
    """The classes that the page lists: all, or those of the lowest recall."""
    recall = run.result["metrics"][run.role].get("per_class", {}).get("recall", [])
    if len(recall) <= _MOST_CLASSES:
        return list(range(len(recall)))
    order = np.argsort([1.0 if value is None else value for value in recall], kind="stable")
    return order[:_MOST_CLASSES].tolist()


def confused(run: Run) -> list[tuple[int, int, float]]:
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


def columns(model: Model) -> list[tuple[str, ...]]:
    """Of a table, each column: its name, type, share that is missing, values and what it becomes."""
    if model.schema is None:
        return []
    return [description.cells(column) for column in model.schema.columns[:_MOST_COLUMNS]]


def left_out(run: Run) -> list[str]:
    """What a run has and the page does not show."""
    found, model = [], run.model
    if (count := model.kernel.size + model.bias.size) > _MOST_COEFFICIENTS:
        file = "coefficients.csv" if model.kernel.size <= _MOST_LAID_OUT else "coefficients.npz"
        found.append(f"{count - _MOST_COEFFICIENTS:,} coefficients: they are in {file}")
    if (count := len(model.class_names)) > _MOST_CLASSES:
        found.append(f"{count - _MOST_CLASSES:,} classes of better recall: they are in result.json")
    if model.schema is not None and (count := len(model.schema.columns)) > _MOST_COLUMNS:
        found.append(f"{count - _MOST_COLUMNS:,} columns: they are in schema.json")
    return found
