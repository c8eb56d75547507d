"""The race: ours and its peers on ordinary problems, seconds from arrays in memory to a gap.

    pip install -e '.[cpu,benchmark]' && python benchmarks/race.py --problems=small --a9a=a9a.libsvm.gz

The gap is (F - F*) / F(0), where no answer is below F*: that is proven by our certificate, asked for 1e-12.
Ours is asked for the gap by its `tol`, and timed with its certificate. A peer's tolerance is swept until it
stops just where it reaches the gap, in float64, float32 and, where most of X is 0, as a sparse matrix, with
all cores and with one; the fastest counts. Later fits are the median of three in a process that has fitted
before; first calls that of three fresh processes, imports apart. A fit that takes more than ten times ours,
or 60 s, is stopped. What was measured is kept in a folder, and the same command goes on from there. Prints
Markdown, and leaves it there with a picture.
"""

import math
import os
import statistics

import machine
import race_problems
import sweep
from sweep import GOALS, best, later, setting


def main() -> None:
    """Parses the arguments, measures, prints the tables and draws the picture."""
    parser = sweep.parser(__doc__, "small")
    parser.add_argument(
        "--first", default="1e-6", help="gaps to which first calls are measured, with commas; 'none'"
    )
    parser.add_argument(
        "--everyone", action="store_true", help="first calls of contenders too that cannot be the fastest"
    )
    arguments = parser.parse_args()
    arguments.first = [float(goal) for goal in arguments.first.split(",") if goal != "none"]
    measured = sweep.measured(arguments, table)
    print(summary(measured))
    sweep.leave(arguments, "race.md", [summary(measured), *[table(*item) for item in measured.items()]])
    draw(measured, os.path.join(arguments.results, "race.png"))


def table(name: str, found: dict) -> str:
    """A problem's contenders, the fastest to 1e-6 first; milliseconds."""
    title, optimum = race_problems.PROBLEMS[name].title, found.get("optimum")
    if optimum and not optimum["certified"]:
        title += " (optimum not certified)"
    elif optimum and (unknown := (optimum["objective"] - optimum["lower"]) / optimum["zero"]) > 1e-11:
        title += f" (optimum known to {unknown:.0e})"
    heads = [f"to {goal:.0e}, ms" for goal in GOALS]
    rows = [[title, *heads, "first call to 1e-06, ms", "imports, s", "above X, MB", "to 1e-06 by"]]
    for contender, points in sorted(found["contenders"].items(), key=lambda item: reached(item[1], GOALS[1])):
        point = best(points, GOALS[1]) or {}
        cells = [milliseconds(reached(points, goal)) for goal in GOALS]
        first = milliseconds(statistics.median(point["first"])) if point.get("first") else ""
        memory = f"{point['peak'] / 1e6:.0f}" if first else ""  # later fits find it allocated
        rest = [f"{point['imports']:.2f}", memory, setting(point)] if point else [""] * 3
        rows.append([contender, *cells, first, *rest])
    return machine.aligned(rows)


def summary(measured: dict) -> str:
    """A line a problem: ours, the fastest peer, and how many times as long as it ours takes."""
    rows = [["ms", *[f"to {goal:.0e}" for goal in GOALS], "first call to 1e-06"]]
    for name, found in measured.items():
        cells = []
        for goal in GOALS:
            times = {contender: reached(points, goal) for contender, points in found["contenders"].items()}
            cells.append(compared(times))
        times = {}
        for contender, points in found["contenders"].items():
            point = best(points, GOALS[1])
            if point and point["first"]:
                times[contender] = statistics.median(point["first"])
        rows.append([race_problems.PROBLEMS[name].title, *cells, compared(times)])
    return machine.aligned(rows)


def compared(times: dict[str, float]) -> str:
    """'ours 2.1, liblinear 1.4: 1.5 x' from seconds by contender."""
    peers = {name: seconds for name, seconds in times.items() if name != "ours" and seconds < math.inf}
    ours = times.get("ours", math.inf)
    if not peers:
        return f"ours {milliseconds(ours)}"
    name = min(peers, key=peers.get)
    return f"ours {milliseconds(ours)}, {name} {milliseconds(peers[name])}: {ours / peers[name]:.2f} x"


def reached(points: list[dict], goal: float) -> float:
    """Seconds of a later fit that reaches a goal; infinity where none does."""
    point = best(points, goal)
    return later(point) if point else math.inf


def milliseconds(seconds: float) -> str:
    """Three digits."""
    return (
        f"{1e3 * seconds:,.3g}" if seconds < 1 else f"{1e3 * seconds:,.0f}" if seconds < math.inf else "n/a"
    )


def draw(measured: dict, path: str) -> None:
    """A picture, a field a problem: the gap that is reached against the seconds that it takes."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib: not installed, no picture")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter

    columns = min(4, len(measured))
    lines = -(-len(measured) // columns)
    size = (4 * columns, 3 * lines + 1)
    figure, fields = pyplot.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    names = list(dict.fromkeys(name for found in measured.values() for name in found["contenders"]))
    for field, (problem, found) in zip(fields.flat, measured.items(), strict=False):
        for name, points in found["contenders"].items():
            front = []
            for point in sorted(points, key=later):
                front += [point] if not front or point["gap"] < front[-1]["gap"] else []
            is_ours = name == "ours"
            field.loglog(
                [later(point) for point in front], [max(point["gap"], 1e-13) for point in front], marker="o",
                markersize=3, color="black" if is_ours else f"C{names.index(name) % 10}", label=name,
                linewidth=2.5 if is_ours else 1, linestyle="-" if names.index(name) < 10 else "--",
            )  # fmt: skip
        field.set_title(race_problems.PROBLEMS[problem].title, fontsize=8)
        field.set_ylim(5e-14, 2)
        field.xaxis.set_minor_formatter(NullFormatter())
        field.grid(alpha=0.3)
    for field in fields.flat[len(measured) :]:
        field.axis("off")
    for field in fields[-1]:
        field.set_xlabel("seconds")
    figure.supylabel("(F - F*) / F(0)")
    labels = {
        text: line
        for field in fields.flat
        for line, text in zip(*field.get_legend_handles_labels(), strict=True)
    }
    place = {"loc": "outside lower center", "ncols": min(6, columns + 2), "fontsize": 8}
    figure.legend(labels.values(), labels.keys(), **place)
    figure.savefig(path, dpi=110)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
