"""The pictures of a report: SVG elements whose colours are those of the page, light or dark."""

import re

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tf_logreg.model import figures
from tf_logreg.results import intervals

# Stand-ins for the page's colours: `element` puts its CSS variables in their place.
_INK, _FIRST, _SECOND, _FAINT, _PAPER = "#010203", "#010204", "#010205", "#010206", "#010207"
_COLOURS = {
    _INK: "var(--ink)",
    _FIRST: "var(--first)",
    _SECOND: "var(--second)",
    _FAINT: "var(--faint)",
    _PAPER: "var(--paper)",
}
_STYLE = {
    "axes.edgecolor": _FAINT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 9.0,
    "grid.color": _FAINT,
    "grid.linewidth": 0.4,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.color": _FAINT,
    "ytick.labelcolor": _INK,
}
_SIZE = (4.2, 3.1)  # inches: on a telephone letters stay legible, and two pictures stand beside each other


def roc(false_positive: np.ndarray, true_positive: np.ndarray) -> str:
    """The ROC curve through points [n] of rates."""
    with matplotlib.rc_context(_STYLE):
        figure = _shares(false_positive, true_positive, "false positive rate", "true positive rate (recall)")
        return element(figure, "roc")


def precision_recall(recall: np.ndarray, precision: np.ndarray, share: float) -> str:
    """The precision-recall curve through points [n]; `share` is the precision of guessing."""
    with matplotlib.rc_context(_STYLE):
        # Of no rows there is no precision.
        figure = _shares(recall[1:], precision[1:], "recall", "precision", guessing=(share, share))
        return element(figure, "precision-recall")


def calibration(bins: np.ndarray, rows: np.ndarray | None) -> str:
    """Accuracy against stated probability.

    Args:
        bins: [k, 3] of weight, mean probability and accuracy.
        rows: [k], how many rows a bin has, for intervals; None for none.
    """
    there = bins[:, 0] > 0
    weight, stated, right = bins[there].T
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        low = np.floor(10 * min(stated.min(initial=1.0), 0.9)) / 10
        above.plot([low, 1], [low, 1], color=_FAINT, linestyle="--", linewidth=1)
        if rows is not None:
            ends = np.array([intervals.of_share(*one) for one in zip(right, rows[there], strict=True)])
            above.vlines(stated, *ends.T, color=_FIRST, linewidth=1, alpha=0.6)
        above.plot(stated, right, "o", color=_FIRST, markersize=4)
        above.set_ylim(-0.03, 1.03)
        above.set_ylabel("share right")
        below.bar(stated, weight, width=0.03, color=_SECOND)
        below.set_ylabel("weight" if rows is None else "rows")
        below.set_xlabel("probability of the class that is named")
        below.set_xlim(low - 0.03, 1.03)
        return element(figure, "calibration")


def scores(share: np.ndarray, names: tuple[str, str]) -> str:
    """How the rows of two classes are spread over the probability of the second.

    Args:
        share: [2, k], of the rows of each class those in k bins of equal width.
        names: of the classes.
    """
    edges = np.linspace(0, 1, share.shape[1] + 1)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axis = figure.subplots()
        for height, name, colour in zip(share, names, (_SECOND, _FIRST), strict=True):
            axis.stairs(height, edges, color=colour, fill=True, alpha=0.3)
            axis.stairs(height, edges, color=colour, label=figures.plain(name))
        axis.set_xlabel(f"probability of {figures.plain(names[1])}")
        axis.set_ylabel("share of the class")
        axis.legend()
        return element(figure, "scores")


def gains(depth: np.ndarray, captured: np.ndarray) -> str:
    """Share of the positive class among the rows of the highest scores, by the share of rows taken."""
    with matplotlib.rc_context(_STYLE):
        what = "share of rows, the highest scores first", "share of the positive class found"
        return element(_shares(depth, captured, *what), "gains")


def effects(names: list[str], effect: np.ndarray, interval: np.ndarray | None) -> str:
    """Coefficients as dots, with their intervals where these are known.

    Args:
        names: [n], the first on top. effect: [n] in log odds. interval: [n, 2] likewise, or None.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 0.6 + 0.2 * len(names)), layout="constrained")
        axis = figure.subplots()
        place = np.arange(len(names))[::-1]
        axis.axvline(0, color=_FAINT, linewidth=1)
        if interval is not None:
            axis.hlines(place, *interval.T, color=_FIRST, linewidth=1.5)
        axis.plot(effect, place, "o", color=_FIRST, markersize=4)
        axis.set_yticks(place, [figures.plain(name) for name in names])
        axis.set_ylim(-0.7, len(names) - 0.3)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel("change of the log odds")
        return element(figure, "effects")


def effects_by_class(names: list[str], effect: np.ndarray, classes: list[str]) -> str:
    """Coefficients [n, C] as a chequered table: red for a class, blue against it."""
    with matplotlib.rc_context(_STYLE | {"axes.grid": False}):
        width = min(4.2 + 0.15 * max(len(classes) - 8, 0), 7.0)
        figure = Figure(figsize=(width, 0.9 + 0.2 * len(names)), layout="constrained")
        axis = figure.subplots()
        limit = np.abs(effect).max() or 1.0
        cells = axis.pcolormesh(
            effect, cmap="RdBu_r", vmin=-limit, vmax=limit, linewidth=0.3, edgecolor=_PAPER
        )
        axis.set_yticks(np.arange(len(names)) + 0.5, [figures.plain(name) for name in names])
        axis.set_xticks(np.arange(len(classes)) + 0.5, [figures.plain(name) for name in classes])
        if max(map(len, classes)) > 2:
            axis.tick_params(axis="x", rotation=90)
        axis.invert_yaxis()
        figure.colorbar(cells, ax=axis, label="change of the logit")
        return element(figure, "effects")


def weights(kernel: np.ndarray, shape: tuple[int, int], class_names: tuple[str, ...]) -> str:
    """The kernel of an image model as pictures, see `figures.weight_images`."""
    with matplotlib.rc_context(_STYLE | {"axes.grid": False}):
        return element(figures.weight_images(kernel, shape, class_names), "weights")


def convergence(passes: np.ndarray, above: np.ndarray) -> str:
    """How far the objective was above where it ended, in nats, against the passes over the rows."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axis = figure.subplots()
        axis.semilogy(passes, above, "o-", color=_FIRST, markersize=3, linewidth=1)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel("passes over the training rows")
        axis.set_ylabel("objective above its end, nats")
        return element(figure, "convergence")


def path(found: dict) -> str:
    """Held-out scores of a path by strength; `found` is the part of `result.json`."""
    with matplotlib.rc_context(_STYLE | {"axes.spines.right": True}):
        figure = figures.path_of(found)
        figure.set_size_inches(6.0, 3.6)
        drawn = element(figure, "path")
    return (
        drawn.replace("#1f77b4", "var(--first)")
        .replace("#ff7f0e", "var(--second)")
        .replace("#000000", "var(--ink)")
    )


def element(figure: Figure, name: str) -> str:
    """A figure as an SVG element of the page, with names that no other picture has."""
    with matplotlib.rc_context({"svg.hashsalt": name}):  # else a random one: the same run, the same page
        drawn = figures.svg(figure)
    for stand_in, colour in _COLOURS.items():
        drawn = drawn.replace(stand_in, colour)
    drawn = re.sub(r' (?:width|height)="[\d.]+pt"', "", drawn, count=2)  # the page gives the size
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', drawn))
    drawn = re.sub(r' id="([^"]+)"', lambda one: one[0] if one[1] in used else "", drawn)
    return re.sub(r'( id="|url\(#|href="#)([^)"]+)', lambda one: f"{one[1]}{name}-{one[2]}", drawn)


def _shares(
    x: np.ndarray, y: np.ndarray, across: str, up: str, guessing: tuple[float, float] = (0, 1)
) -> Figure:
    """A curve of shares [n] by shares [n], beside what guessing gives, from the left to the right, dashed."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axis = figure.subplots()
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.plot([0, 1], guessing, color=_FAINT, linestyle="--", linewidth=1)
    axis.plot(x, y, color=_FIRST)
    axis.set_xlabel(across)
    axis.set_ylabel(up)
    return figure
