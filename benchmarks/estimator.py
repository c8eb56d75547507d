"""`tf_logreg.LogisticRegression` beside other classifiers: the first fit of a process and the later ones.

    pip install -e '.[cpu,benchmark]' && python benchmarks/estimator.py

Each contender with the tolerance, form of X and number of threads with which it comes within 1e-6 of the
optimum soonest: benchmarks/race.py says how that is found, and shares the folder of results. C = 1. Prints
Markdown tables.
"""

import statistics
import tempfile

import machine
import race_problems
import sweep
import worker

GOAL = 1e-6
HEADS = (
    "imports, s", "first fit, ms", "later fits, ms", "first / ours", "later / ours", "gap", "above X, MB",
    "of X", "how",
)  # fmt: skip


def main() -> None:
    """Parses the arguments and prints the tables."""
    parser = sweep.parser(__doc__, "estimator")
    parser.add_argument("--profile", action="store_true", help="where the time of our later fits goes")
    arguments = parser.parse_args()
    arguments.first, arguments.everyone = [GOAL], True
    runs = sweep.Sweep(arguments)
    for name in sweep.chosen(arguments):
        print(f"\n{table(name, runs.measure(name))}", flush=True)
        if arguments.profile:
            print(profile(name, arguments), flush=True)
    runs.close()


def table(name: str, found: dict) -> str:
    """A problem's contenders, ours first."""
    rows = [[f"{race_problems.PROBLEMS[name].title}, {found.get('dtype', 'not measured')}", *HEADS]]
    ours = sweep.best(found["contenders"].get("ours", []), GOAL)
    for contender, points in found["contenders"].items():
        point = sweep.best(points, GOAL)
        if not point:
            closest = min((one["gap"] for one in points), default=float("inf"))
            rows.append([contender, *[""] * 5, f"{closest:.1e} (missed)", "", "", ""])
            continue
        first, later = (statistics.median(point[key] or [float("nan")]) for key in ("first", "seconds"))
        ratios = [""] * 2
        if ours:
            ratios = [
                f"{first / statistics.median(ours['first'] or [float('nan')]):.2f}",
                f"{later / sweep.later(ours):.2f}",
            ]
        memory = [f"{point['peak'] / 1e6:.0f}", f"{point['peak'] / found['size']:.2f}"]
        times = [f"{point['imports']:.2f}", f"{1e3 * first:.4g}", f"{1e3 * later:.4g}"]
        rows.append([contender, *times, *ratios, f"{point['gap']:.1e}", *memory, sweep.setting(point)])
    return machine.aligned(rows)


def profile(name: str, arguments) -> str:
    """A table of the functions that a later fit of ours spends its time in."""
    with tempfile.TemporaryDirectory() as folder:
        race_problems.write(race_problems.PROBLEMS[name], folder, arguments.a9a, arguments.images)
        dtype, ours = str(race_problems.read(folder)[0].dtype), worker.Worker("tf_logreg")
        found = ours.ask(600, worker.profile, folder, dtype, GOAL)
        ours.close()
    return "\n".join([*found.get("lines", []), ""])


if __name__ == "__main__":
    main()
