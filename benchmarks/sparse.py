"""Sparse rows: ours and its peers on text, hashed and one-hot columns, seconds to a gap and peak memory.

    pip install -e '.[cpu,benchmark]' && python benchmarks/sparse.py

Measured as the race is (`race.py`), over rows in CSR of float64 made by a seed: tolerances are swept,
each first call has a fresh process, and the gap of every answer, whoever found it, is (F - F*) / F(0), where
our certificate proves that no answer is below F*. Memory is the peak above that of the process with the data.
A fit, and the sweep of a contender, stop at 120 s. scikit-learn's liblinear penalises the intercept,
so its gap where there is one is that of an answer to another problem. Prints Markdown, and leaves it.
"""

import machine
import race
import sweep


def main() -> None:
    """Parses the arguments, measures, and prints the tables."""
    parser = sweep.parser(__doc__, "sparse")
    parser.add_argument("--limit", type=float, default=120, help="seconds after which a fit is stopped")
    parser.set_defaults(results="runs/sparse", budget=120.0, first=[1e-6], everyone=True)
    arguments = parser.parse_args()
    measured = sweep.measured(arguments, table)
    print(race.summary(measured))
    sweep.leave(
        arguments, "sparse.md", [race.summary(measured), *[table(*item) for item in measured.items()]]
    )


def table(name: str, found: dict) -> str:
    """The race's table of a problem, and the smallest gap of each contender that reaches none of 1e-6."""
    lines = [["short of 1e-6", "smallest gap", "in, s", "by"]]
    for contender, points in found["contenders"].items():
        if not sweep.best(points, 1e-6):
            point = min(points, key=lambda point: point["gap"], default=None)
            rest = [f"{point['gap']:.0e}", f"{sweep.later(point):.2f}", sweep.setting(point)] if point else []
            lines.append([contender, *(rest or ["none within the limit", "", ""])])
    return race.table(name, found) + ("\n" + machine.aligned(lines) if len(lines) > 1 else "")


if __name__ == "__main__":
    main()
