"""`tf_logreg.LogisticRegression` beside other classifiers: the first fit of a process and the later ones.

    pip install -e '.[cpu,benchmark]' && python benchmarks/estimator.py

Every measurement is a process of its own on the same data, C = 1. Peers get the loosest tolerance of
10^-2, 10^-2.5 ... 10^-13 at which they come within 1e-6 of the optimum, the precision of X where that is
enough for it, and the better of one thread and all cores. The gap is the smaller of our certificate of
the answer and its excess over an optimum that is certified, in float64 from the data, over the loss
without features. Prints Markdown tables.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings

import classifiers
import gaps
import machine
import planted
from contenders import run

GOAL = 1e-6
PROBLEMS = {
    "iris": "iris, 150 x 4, 3 classes",
    "breast_cancer": "breast_cancer, 569 x 30",
    "breast_cancer_scaled": "breast_cancer, columns of deviation one",
    "digits": "digits, 1,797 x 64, 10 classes",
    "10k": "10,000 x 100",
    "200k": "200,000 x 100",
    "1m": "1,000,000 x 28",
    "pixels": "60,000 x 784, 10 classes, columns correlated like pixels",
    "images": "the images of --images",
}
PLANTED = {
    "10k": (10_000, 100, 2),
    "200k": (200_000, 100, 2),
    "1m": (1_000_000, 28, 2),
    "pixels": (60_000, 784, 10),
}


def main() -> None:
    """Parses the arguments and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", default=",".join([name for name in PROBLEMS if name != "images"]))
    parser.add_argument(
        "--images", default="", help="a file of images in MNIST's format, its labels beside it"
    )
    parser.add_argument("--only", default="", help="contenders whose name holds one of these, with commas")
    parser.add_argument(
        "--processes", type=int, default=3, help="fresh processes, where a fit takes no second"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="fits of a process, at most half a minute of them"
    )
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a process may take")
    parser.add_argument("--tuned", default="", help="a file of the peers' tolerances, read if it is there")
    parser.add_argument("--profile", action="store_true", help="where the time of our later fits goes")
    parser.add_argument("--contender", help=argparse.SUPPRESS)  # what a child process measures
    parser.add_argument("--task", help=argparse.SUPPRESS)  # what it does: reference, search, measure, profile
    parser.add_argument("--folder", help=argparse.SUPPRESS)  # where its data are
    parser.add_argument("--dtype", help=argparse.SUPPRESS)  # of X
    parser.add_argument("--tol", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        warnings.simplefilter("ignore")
        print(json.dumps(TASKS[arguments.task](arguments)))
        return
    cores = len(os.sched_getaffinity(0))
    print(f"{machine.cpu_model()}, {cores} cores, load {os.getloadavg()[0]:.1f}")
    print(f"memory is read at {machine.bandwidth():.0f} GB/s\n")
    for name in classifiers.PACKAGES:
        if not classifiers.installed(name):
            print(f"{name}: not installed, left out\n")
    for problem in arguments.problems.split(","):
        with tempfile.TemporaryDirectory() as arguments.folder:
            write_data(problem, arguments.images, arguments.folder)
            print(table(problem, arguments), flush=True)


def table(problem: str, arguments: argparse.Namespace) -> str:
    """A Markdown table of a problem; ratios are to ours in X's own precision."""
    x, y = data(arguments.folder)
    dtype, binary = str(x.dtype), int(y.max()) < 2
    run(__file__, "ours", ["--task=reference", f"--folder={arguments.folder}"], arguments.timeout)
    found = {}
    for name in classifiers.PACKAGES:
        if not classifiers.installed(name) or not any(part in name for part in arguments.only.split(",")):
            continue
        if name == "ours":
            for given in dict.fromkeys((dtype, "float64")):
                label = name if given == dtype else f"{name}, {given}"
                found[label] = measured(name, {"dtype": given, "tol": GOAL}, [0], arguments)
        elif binary or name not in classifiers.BINARY:
            found[name] = tuned(name, problem, arguments)
    heads = (
        "import, s", "first fit, ms", "later fits, ms", "first / ours", "later / ours", "gap", "above X, MB",
        "of X", "how",
    )  # fmt: skip
    lines = [f"| {PROBLEMS[problem]}, {dtype} | {' | '.join(heads)} |", "|---" * 10 + "|"]
    lines += [line(name, result, found.get("ours", {})) for name, result in found.items()]
    if arguments.profile:
        options = ["--task=profile", f"--folder={arguments.folder}", f"--dtype={dtype}", f"--tol={GOAL}"]
        lines += ["", *run(__file__, "ours", options, arguments.timeout).get("profile", [])]
    return "\n".join([*lines, ""])


def line(name: str, result: dict, ours: dict) -> str:
    """A contender's line."""
    if not result:
        return f"| {name} | n/a | | | | | | | | |"
    ratios = [f"{result[key] / ours[key]:.2f}" if ours else "" for key in ("first", "later")]
    how = f"{result['dtype']}, tol {result['tol']:.0e}, {result['threads'] or 'its own'} threads"
    missed = "" if result["gap"] <= GOAL else " (missed)"
    return (
        f"| {name} | {result['import']:.2f} | {1e3 * result['first']:.4g} | {1e3 * result['later']:.4g} "
        f"| {ratios[0]} | {ratios[1]} | {result['gap']:.1e}{missed} | {result['peak'] / 1e6:.0f} "
        f"| {result['peak'] / result['size']:.2f} | {how} |"
    )


def tuned(name: str, problem: str, arguments: argparse.Namespace) -> dict:
    """A peer at its tolerance, precision and number of threads; {} where it took too long."""
    known = {}
    if arguments.tuned and os.path.exists(arguments.tuned):
        with open(arguments.tuned) as file:
            known = json.load(file)
    key = f"{problem}, {name}"
    if key not in known:
        options = ["--task=search", f"--folder={arguments.folder}", f"--timeout={arguments.timeout}"]
        known[key] = run(__file__, name, options, 2 * arguments.timeout)
    if arguments.tuned:
        with open(arguments.tuned, "w") as file:
            json.dump(known, file, indent=1)
    return measured(name, known[key], [len(os.sched_getaffinity(0)), 1], arguments) if known[key] else {}


def measured(name: str, settings: dict, threads: list[int], arguments: argparse.Namespace) -> dict:
    """The least of several processes at the better number of threads."""
    best, limit = {}, arguments.timeout
    options = [
        "--task=measure", f"--folder={arguments.folder}", f"--dtype={settings['dtype']}",
        f"--tol={settings['tol']}", f"--repeats={arguments.repeats}",
    ]  # fmt: skip
    for count in threads:
        runs = []
        for _ in range(arguments.processes):
            result = run(__file__, name, [*options, f"--threads={count}"], limit, count)
            runs += [result] if result else []
            if not result or result["first"] > 1:
                break
        if not runs:
            continue
        result = {key: min(one[key] for one in runs) for key in ("import", "first", "later", "peak", "size")}
        result |= {"gap": max(one["gap"] for one in runs), "threads": count, **settings}
        if not best or result["later"] < best["later"]:
            best = result
        limit = min(limit, 60 + 3 * arguments.repeats * best["first"])
    return best


def write_data(problem: str, images: str, folder: str) -> None:
    """Leaves X [n, p] float32 or float64 and y [n] int32 where a child finds them."""
    import numpy as np

    if problem in PLANTED:
        x, y = planted.rows(*PLANTED[problem], pixels=problem == "pixels")
    elif problem == "images":
        x, y = planted.read_images(images)
    else:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{problem.removesuffix('_scaled')}")(return_X_y=True)
        if problem.endswith("_scaled"):
            x = (x - x.mean(axis=0)) / x.std(axis=0)
    np.save(f"{folder}/x.npy", x)
    np.save(f"{folder}/y.npy", y.astype(np.int32))


def data(folder: str, dtype: str | None = None):
    """X in a dtype, or as it is, and y."""
    import numpy as np

    x = np.load(f"{folder}/x.npy", mmap_mode=None if dtype else "r")
    return x.astype(dtype, copy=False) if dtype else x, np.load(f"{folder}/y.npy")


def reference(arguments: argparse.Namespace) -> dict:
    """Leaves a number that the optimum's objective is certified not to be below."""
    x, y = data(arguments.folder, "float64")
    (best,) = gaps.certify(x, y, [(*classifiers.fit("ours", x, y, 1.0, 1e-9), 0.0, 1 / len(y))])
    with open(f"{arguments.folder}/lower.json", "w") as file:
        json.dump(best.objective - best.gap, file)
    return {}


def gap_of(x, y, answer, folder: str) -> float:
    """The bound on F - F* of an answer (kernel, bias) over the loss without features."""
    (found,) = gaps.certify(x, y, [(*answer, 0.0, 1 / len(y))])
    with open(f"{folder}/lower.json") as file:
        bounds = [found.objective - json.load(file), found.gap, found.gradient_bound]
    return min(bound for bound in bounds if bound is not None) / gaps.null_loss(y)


def search(arguments: argparse.Namespace) -> dict:
    """The dtype and the tolerance at which a peer comes within GOAL, or comes closest in the time it has."""
    classifiers.import_package(arguments.contender, 0)
    begin, best, refused = time.perf_counter(), {}, 0
    given = str(data(arguments.folder)[0].dtype)
    for dtype in dict.fromkeys((given, "float64")):
        x, y = data(arguments.folder, dtype)
        for tol in (10 ** (-k / 2) for k in range(4, 27)):
            start = time.perf_counter()
            answer = classifiers.fit(arguments.contender, x, y, 1.0, tol)
            took, gap = time.perf_counter() - start, gap_of(x, y, answer, arguments.folder)
            if not best or gap < best["gap"]:
                best, refused = {"dtype": dtype, "tol": tol, "gap": gap}, 0
            if gap <= GOAL:
                return best
            refused += 1
            if (
                refused > 3 and dtype != "float64"
            ):  # rounding has it: no better at a hundredth of the tolerance
                break
            if time.perf_counter() - begin + 2 * took > arguments.timeout:
                print(f"{arguments.contender}: {gap:.1e} at tol {tol:.0e}, no more time", file=sys.stderr)
                return best
    return best


def measure(arguments: argparse.Namespace) -> dict:
    """Seconds of import, the first fit and the best of the later ones; the gap; bytes above X."""
    name = arguments.contender
    start = time.perf_counter()
    classifiers.import_package(name, arguments.threads)
    found = {"import": time.perf_counter() - start}
    x, y = data(arguments.folder, arguments.dtype)
    seconds = []
    with machine.Peak() as memory:
        while len(seconds) < arguments.repeats and (len(seconds) < 2 or sum(seconds) < 30):
            start = time.perf_counter()
            answer = classifiers.fit(name, x, y, 1.0, arguments.tol)
            seconds.append(time.perf_counter() - start)
    gap = gap_of(x, y, answer, arguments.folder)
    return {
        **found,
        "first": seconds[0],
        "later": min(seconds[1:]),
        "gap": gap,
        "peak": memory.above,
        "size": x.nbytes,
    }


def profile(arguments: argparse.Namespace) -> dict:
    """Where a later fit of ours spends its time, the main thread waiting for the others included."""
    import cProfile

    x, y = data(arguments.folder, arguments.dtype)
    classifiers.fit("ours", x, y, 1.0, arguments.tol)
    profiler = cProfile.Profile()
    profiler.runcall(classifiers.fit, "ours", x, y, 1.0, arguments.tol)
    return {"profile": machine.profile_lines(profiler, "tf_logreg")}


TASKS = {"reference": reference, "search": search, "measure": measure, "profile": profile}

if __name__ == "__main__":
    main()
