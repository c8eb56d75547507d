"""Seconds of our fit against rows, columns, classes and problems at once, each alone around one base.

    pip install -e '.[cpu,benchmark]' && python benchmarks/growth.py --picture=growth.png

The base is 100,000 rows of 50 columns, 2 classes, one problem. Rows are those of `planted`. A time is the
least of several fits from arrays in memory, with checks and certificate. Prints a Markdown table
with the slope of the logarithms between neighbours, 1 where twice as much takes twice as long, and draws the
same on logarithmic axes.
"""

import argparse
import os
import time

import numpy as np
import planted

BASE = {"rows": 100_000, "columns": 50, "classes": 2, "problems": 1}
GROWTH = {
    "rows": (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "columns": (5, 10, 20, 50, 100, 200, 400),
    "classes": (2, 3, 5, 10, 20, 50, 100),
    "problems": (1, 2, 4, 8, 16, 32, 64),
}


def main() -> None:
    """Parses the arguments, prints the table and draws the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(GROWTH), help="which of these grow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of rows")
    parser.add_argument("--picture", default="", help="file of the picture; none when empty")
    arguments = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}\n")
    found = {}
    for name in arguments.only.split(","):
        sizes, rows = GROWTH[name], {"rows": int(BASE["rows"] * arguments.scale)}
        if name == "rows":
            sizes = tuple(int(size * arguments.scale) for size in sizes)
        seconds = [seconds_of({**BASE, **rows, name: size}, arguments.repeats) for size in sizes]
        found[name] = sizes, seconds
        print(table(name, sizes, seconds), flush=True)
    if arguments.picture:
        draw(found, arguments.picture)


def seconds_of(problem: dict, repeats: int) -> float:
    """The least seconds of `repeats` fits after a first one; problems are strengths between 1e-4 and 1e4."""
    from tf_logreg import LogisticRegression, LogisticRegressionCV

    x, y = planted.rows(problem["rows"], problem["columns"], problem["classes"])
    if (count := problem["problems"]) == 1:
        model = LogisticRegression()
    else:  # strengths beside one split, and no fit after their choice
        split = np.arange(len(y)) % 5 > 0
        cut = [(np.flatnonzero(split), np.flatnonzero(~split))]
        model = LogisticRegressionCV(
            Cs=np.logspace(-4, 4, count), cv=cut, scoring="neg_log_loss", refit=False
        )
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model.fit(x, y)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def slopes(sizes: tuple[int, ...], seconds: list[float]) -> np.ndarray:
    """Of the logarithm of the seconds by that of the size, between neighbours."""
    return np.diff(np.log(seconds)) / np.diff(np.log(sizes))


def table(name: str, sizes: tuple[int, ...], seconds: list[float]) -> str:
    """A Markdown table of one growth."""
    between = ["", *(f"{slope:.2f}" for slope in slopes(sizes, seconds))]
    lines = [f"| {name} | seconds | slope |", "|---|---|---|"]
    lines += [f"| {a:,} | {b:.4f} | {c} |" for a, b, c in zip(sizes, seconds, between, strict=True)]
    return "\n".join([*lines, ""])


def draw(found: dict, path: str) -> None:
    """Seconds against size, a panel for each growth; dashed, what grows in proportion."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(3.2 * len(found), 3), sharey=True, squeeze=False)
    for panel, (name, (sizes, seconds)) in zip(panels[0], found.items(), strict=True):
        panel.loglog(sizes, seconds, "o-")
        panel.loglog(sizes, np.array(sizes) * seconds[-1] / sizes[-1], "--", color="0.7")
        panel.set_xlabel(name)
        panel.grid(visible=True, which="both", alpha=0.3)
    panels[0, 0].set_ylabel("seconds")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
