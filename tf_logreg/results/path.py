"""Files of a path: path.npz, path.csv and path.png, and its part of result.json."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg import storage
from tf_logreg.model import compact
from tf_logreg.model.model import Model
from tf_logreg.results import record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("status", "score", "nonzeros", "objective", "certified_gap", "passes")


def write(folder: storage.Folder, path, model: Model) -> None:
    """Writes the three files.

    Args:
        folder: the work directory.
        path: N penalties x F folds, as `fit.path.path.Path` has them.
        model: of the same features and classes, fitted to the same rows.
    """
    arrays = {
        "values": path.values,
        "C": path.C,
        "l1_ratio": path.l1_ratio,
        "l1": path.l1,
        "l2": path.l2,
        "scores": path.scores,
        "choice": np.array(path.choice),
        **compact.packed(path.kernel, model.feature_names, sparse=model.sparse),
        "bias": path.bias,
        "status": path.status.astype("U16"),
        "certified_gap": path.certified_gap,
        "objective": path.objective,
        "nonzeros": path.nonzeros,
        "passes": path.passes,
        "class_names": np.array(model.class_names),
    }
    folder.write_arrays("path.npz", arrays)
    folder.write_text("path.csv", table(path))
    folder.write_with("path.png", lambda name: picture(path).savefig(name, dpi=150))


def table(path) -> str:
    """CSV with one line per penalty and fold; empty where there is no number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["C", "l1", "l2", "fold", *_COLUMNS, "chosen"])
    columns = (path.status, path.scores, path.nonzeros, path.objective, path.certified_gap, path.passes)
    for i, inverse in enumerate(path.C.tolist()):
        for f in range(path.scores.shape[1]):
            cells = [column[i, f].item() for column in (path.l1, path.l2)]
            found = [column[i, f].item() for column in columns]
            found = ["" if cell != cell else cell for cell in found]
            writer.writerow([inverse, *cells, f + 1, *found, int(i == path.choice)])
    return text.getvalue()


def summary(path) -> record.Path:
    """Fields of result.json: the choice, and lists [N][F] with null where there is no number."""

    def plain(array: np.ndarray) -> list:
        return [[value if math.isfinite(value) else None for value in row] for row in array.tolist()]

    return {
        "penalty": path.penalty,
        "values": path.values.tolist(),
        "C": plain(path.C[None])[0],
        "l1_ratio": path.l1_ratio.tolist(),
        "l1": path.l1.tolist(),
        "l2": path.l2.tolist(),
        "choice": path.choice,
        "chosen": float(path.values[path.choice]),
        "note": path.note,
        "metric": path.metric,
        "scores": plain(path.scores),
        "status": [[str(value) for value in row] for row in path.status],
        "certified_gap": plain(path.certified_gap),
        "objective": plain(path.objective),
        "nonzeros": path.nonzeros.tolist(),
        "passes": plain(path.passes),
        "iterations": path.iterations,
    }


def picture(path) -> Figure:
    """The score and the number of non-zero coefficients against the strength."""
    from tf_logreg.model import figures  # imports matplotlib

    ratios = tuple(dict.fromkeys(path.l1_ratio.tolist()))
    return figures.path(
        path.penalty, path.values, path.scores, path.nonzeros, path.choice, metric=path.metric, ratios=ratios
    )
