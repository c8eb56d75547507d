"""The end of a run as a notebook shows it: `summary` with a table and the picture of a path, as HTML."""

from __future__ import annotations

import html
from typing import Any

from tf_logreg.model import summary

# By column what a split's metrics are called, and how many digits are shown.
_COLUMNS = {
    "num_rows": ("rows", ",d"),
    "log_loss": ("log loss", ".6f"),
    "accuracy": ("accuracy", ".4f"),
    "roc_auc": ("ROC AUC", ".4f"),
}


class Result(dict):
    """What `result.json` holds; a notebook shows it as a table."""

    def _repr_html_(self) -> str:
        return of(self)


def of(found: dict, model: Any = None) -> str:
    """HTML without scripts or styles of its own; names and messages are escaped.

    Args:
        found: what `result.json` holds.
        model: the `Model` of the run, for its classes and largest effects; None to say nothing of them.
    """
    metrics = found["metrics"]
    intervals = [line for role in metrics for line in summary.interval_lines(role, metrics[role])]
    parts = [
        _paragraph(summary.fit_lines(found)),
        _table(metrics) if metrics else "",
        _paragraph(intervals + summary.measured_lines(found, model)),
        _aligned(summary.error_lines(found, model)),
        "" if found["path"] is None else _picture(found["path"]),
    ]
    return f"<div>{''.join(parts)}</div>"


def _paragraph(lines: list[str]) -> str:
    return f"<p>{'<br/>'.join(html.escape(line.strip()) for line in lines)}</p>" if lines else ""


def _aligned(lines: list[str]) -> str:
    """Lines in columns."""
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>" if lines else ""


def _table(metrics: dict[str, dict]) -> str:
    """Metrics, a row a split."""
    head = "".join(f"<th>{title}</th>" for title, _ in _COLUMNS.values())
    rows = [
        f"<tr><th>{html.escape(role)}</th>"
        + "".join(f"<td>{summary.shown(values.get(name), form)}</td>" for name, (_, form) in _COLUMNS.items())
        + "</tr>"
        for role, values in metrics.items()
    ]
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _picture(path: dict) -> str:
    """The scores of a path by strength, as an SVG element; '' where its numbers were not kept."""
    if not {"nonzeros", "metric", "l1_ratio"} <= path.keys():  # of an older version
        return ""
    from tf_logreg.model import figures  # imports matplotlib

    return figures.svg(figures.path_of(path))
