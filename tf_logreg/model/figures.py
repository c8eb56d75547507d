"""Pictures of a model, as matplotlib figures."""

import io
import re
import warnings

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tf_logreg.names import shortened


def weight_images(kernel: np.ndarray, shape: tuple[int, int], class_names: tuple[str, ...]) -> Figure:
    """The kernel of an image model, one picture per class: which pixels count for and against the class.

    Args:
        kernel: [p, C], or [p, 1] for the sigmoid's class 1; p = height * width.
        shape: (height, width) of the images.
        class_names: C names.

    Returns:
        A figure; red is positive, blue negative, on one scale for all classes.
    """
    outputs = kernel.shape[1]
    titles = class_names[1:] if outputs == 1 else class_names
    columns = min(outputs, 5)
    rows = -(-outputs // columns)
    figure = Figure(figsize=(1.6 * columns + 0.8, 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    limit = np.abs(kernel).max() or 1.0
    for axis in axes:
        axis.set_axis_off()
    for axis, weights, title in zip(axes, kernel.T, titles, strict=False):
        image = axis.imshow(weights.reshape(shape), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(plain(title))
    figure.colorbar(image, ax=list(axes), label="weight", shrink=0.8)
    return figure


def path(
    penalty: str,
    values: np.ndarray,
    scores: np.ndarray,
    nonzeros: np.ndarray,
    choice: int,
    *,
    metric: str = "log_loss",
    ratios: tuple[float, ...] = (1.0,),
) -> Figure:
    """Held-out score and number of non-zero coefficients by strength, with the chosen penalty marked.

    Args:
        penalty: its name. values: [N] strengths, each once for every one of `ratios`.
        scores: [N, F]; log losses in nats. nonzeros: [N, F].
        choice: the index of the chosen penalty.
        metric: what the scores are.
        ratios: [R], shares of l1; a line each.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    other, mean, x = axis.twinx(), scores.mean(axis=1), values[:: len(ratios)]
    for r, ratio in enumerate(ratios):
        some = slice(r, None, len(ratios))
        faint = 1 - 0.7 * r / len(ratios)
        axis.plot(x, scores[some], color="tab:blue", alpha=0.25 * faint, linewidth=0.8)
        label = f"l1_ratio={ratio:g}" if len(ratios) > 1 else None
        axis.plot(x, mean[some], "o-", color="tab:blue", alpha=faint, markersize=3, label=label)
        if scores.shape[1] > 1:
            error = scores[some].std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
            band = mean[some] - error, mean[some] + error
            axis.fill_between(x, *band, color="tab:blue", alpha=0.15 * faint, linewidth=0)
        other.plot(x, nonzeros[some].mean(axis=1), color="tab:orange", alpha=faint, linewidth=1)
    if len(ratios) > 1:
        axis.legend(fontsize="small")
    axis.axvline(values[choice], color="black", linestyle="--", linewidth=0.8)
    # Above the axes it covers no line. They run from the strongest: the label goes towards the middle.
    side = "left" if 2 * choice < len(values) else "right"
    axis.annotate(
        f"chosen: {penalty} = {values[choice]:.3g}", (values[choice], 1), xytext=(0, 3), ha=side,
        xycoords=axis.get_xaxis_transform(), textcoords="offset points",
    )  # fmt: skip
    smallest = values[values > 0].min(initial=np.inf)
    axis.set_xscale("symlog" if (values == 0).any() else "log", **(
        {"linthresh": min(smallest, 1.0)} if (values == 0).any() else {}
    ))  # fmt: skip
    axis.invert_xaxis()  # strongest first, like the path
    axis.set_xlabel(f"{penalty}, from strong to weak")
    unit = ", nats" if metric == "log_loss" else ""
    axis.set_ylabel(f"held-out {metric.replace('_', ' ')}{unit}", color="tab:blue")
    other.set_ylim(bottom=0)
    other.set_ylabel("non-zero coefficients", color="tab:orange")
    return figure


def plain(name: str, most: int = 32) -> str:
    """A name for a picture: shortened, and no formula, which matplotlib reads between dollars."""
    return shortened(name, most).replace("$", r"\$")


def path_of(found: dict) -> Figure:
    """`path` of a finished run; `found` is the part of `result.json`."""
    return path(
        found["penalty"],
        np.array(found["values"]),
        np.array(found["scores"], float),  # null is NaN, which is not drawn
        np.array(found["nonzeros"]),
        found["choice"],
        metric=found["metric"],
        ratios=tuple(dict.fromkeys(found["l1_ratio"])),
    )


def svg(figure: Figure) -> str:
    """A figure as an SVG element for a page: letters are text, and no style reaches beyond it."""
    text, no_metadata = io.StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        # The page's fonts draw the letters, not matplotlib's.
        warnings.filterwarnings("ignore", "Glyph .* missing from (current )?font", UserWarning)
        figure.savefig(text, format="svg", metadata=no_metadata)
    element = text.getvalue().partition("<svg")[2]  # what stands before it is for files of their own
    element = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", element, flags=re.DOTALL)
    # Fewer bytes: a tenth of a point is fine enough, and lines need no ends.
    element = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), element)
    element = re.sub(r">\s+<", "><", re.sub(r"\s+", " ", element))
    return f'<svg style="stroke-linejoin: round; stroke-linecap: butt; max-width: 100%"{element}'
