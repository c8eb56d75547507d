"""Seconds that contenders take to come within given gaps of an optimum: tolerances swept, kept in files.

A gap is (F - F*) / F(0), where F* is what our certificate proves that no answer is below. A contender's
tolerance goes down by decades until every goal is reached, no decade helps, or its time is over. A goal's
decade is halved three times. Each setting (form of X, threads, tolerance) is a point: seconds of later fits,
gap, memory.
"""

import argparse
import functools
import itertools
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable

import classifiers
import machine
import race_problems
import worker

GOALS = (1e-3, 1e-6, 1e-9)
TINY = 2**20  # bytes of X below which one thread is faster than two for all
SMALL = 2**25  # below which it is for most
DECADES = [10.0**-k for k in range(1, 15)]


class Sweep:
    """Contenders on problems: a process for each package and number of threads, a file for each problem."""

    def __init__(self, arguments):
        """Begins the time.

        Args:
            arguments: those of `parser`; first: goals whose first calls are measured; everyone: whether also
                those of contenders that cannot be the fastest are.
        """
        self.arguments, self.workers = arguments, {}
        self.end = time.monotonic() + 60 * arguments.minutes
        os.makedirs(arguments.results, exist_ok=True)

    def measure(self, name: str) -> dict:
        """dtype, size, optimum of a problem, and points by contender; what is not known yet is measured."""
        import numpy as np

        path, problem = os.path.join(self.arguments.results, f"{name}.json"), race_problems.PROBLEMS[name]
        found = {"contenders": {}, **read(path)}
        if time.monotonic() > self.end:
            return found
        with tempfile.TemporaryDirectory() as self.folder:
            race_problems.write(problem, self.folder, self.arguments.a9a, self.arguments.images)
            x, y, penalty = race_problems.read(self.folder)
            size, is_sparse = race_problems.size(x), not isinstance(x, np.ndarray)
            found |= {"dtype": str(x.dtype), "size": size}
            if "optimum" not in found:
                found["optimum"] = self.worker("tf_logreg").ask(300, worker.optimum, self.folder)
            self.optimum = found["optimum"]
            if not self.optimum:
                raise RuntimeError(f"{name}: our fit of the optimum failed")
            if is_sparse:  # those that penalise the intercept are measured too
                penalty["intercept"] = False
            for contender in self.contenders(int(y.max()) + 1, penalty):
                anew = contender in self.arguments.again.split(",") or contender not in found["contenders"]
                if anew and time.monotonic() < self.end:
                    self.limit = self.arguments.limit or limit(found["contenders"].get("ours", []))
                    forms = [
                        form
                        for form in classifiers.CONTENDERS[contender].forms
                        if (form == "sparse" if is_sparse else form != "sparse" or problem.sparse)
                    ]
                    if not forms:
                        continue
                    forms.sort(key=lambda form: form != found["dtype"])
                    threads = [1] if size < TINY else [1, 0] if size < SMALL else [0, 1]
                    threads = threads if contender != "ours" else [0]
                    found["contenders"][contender] = self.points(contender, forms, threads)
                    write(path, found)
                    self.close(size)
            for goal in self.arguments.first:
                self.first_calls(found["contenders"], goal)
                write(path, found)
            del x, y
        return found

    def contenders(self, classes: int, penalty: dict) -> list[str]:
        """Those that are installed, asked for, and minimise the objective."""
        return [
            name
            for name in classifiers.CONTENDERS
            if classifiers.installed(name)
            and classifiers.fits(name, classes, penalty)
            and any(part in name for part in self.arguments.only.split(","))
        ]

    def worker(self, package: str, threads: int = 0) -> worker.Worker:
        """The process of a package."""
        return self.workers.setdefault((package, threads), worker.Worker(package, threads))

    def close(self, size: int = 2**63) -> None:
        """Ends the processes, unless the data that they hold are small."""
        for one in self.workers.values() if size > SMALL else ():
            one.close()

    def points(self, name: str, forms: list[str], threads: list[int]) -> list[dict]:
        """A contender's points: a sweep, then each goal's tolerance in other settings, and the best thrice.

        Args:
            name: the contender's. forms: of X; the next is swept where the ones before reach not every goal.
            threads: 1, or 0 for all cores, that of the sweep first.
        """
        one = self.worker(classifiers.CONTENDERS[name].package, threads[0])
        one.ask(worker.READY, worker.ready, name, self.folder, forms[0])
        end = min(self.end, time.monotonic() + self.arguments.budget)
        points = []
        for form in forms:
            measure = functools.partial(self.point, name, form, threads[0])
            lacking = [goal for goal in GOALS if not best(points, goal)]
            if name == "ours":
                points += [point for point in map(measure, lacking) if point]
            elif lacking:
                reached = [best(points, goal)["tol"] for goal in GOALS if goal not in lacking]
                points += walk(measure, lacking, min(reached, default=1.0), end)
        for goal in GOALS:
            point = best(points, goal)
            for form, other in itertools.product(forms, threads):
                setting = (form, other, point["tol"]) if point else ()
                known = [(one["form"], one["threads"], one["tol"]) for one in points]
                matters = other == threads[0] or classifiers.CONTENDERS[name].threads
                if point and matters and setting not in known and time.monotonic() < end:
                    points += [found for found in [self.point(name, *setting)] if found]
            point = best(points, goal)
            while point and len(point["seconds"]) < 3 and time.monotonic() < end:
                again = self.point(name, point["form"], point["threads"], point["tol"])
                if not again:
                    break
                point["seconds"] += again["seconds"]
        return points

    def point(self, name: str, form: str, threads: int, tol: float) -> dict:
        """Later fits at one tolerance; {} where they fail or take too long."""
        one = self.worker(classifiers.CONTENDERS[name].package, threads)
        found = one.ask(self.limit, worker.measured, name, self.folder, form, tol, False)
        if not found:
            return {}
        gap = (found["objective"] - self.optimum["lower"]) / self.optimum["zero"]
        return {
            "form": form, "threads": threads, "tol": tol, "gap": gap, "seconds": found["seconds"],
            "peak": found["peak"], "imports": one.imports, "first": [],
            **({"asked": tol} if name == "ours" else {}),
        }  # fmt: skip

    def first_calls(self, contenders: dict, goal: float) -> None:
        """First fits in three fresh processes: of ours, and of peers in the order of their later fits.

        A peer whose later fit is longer than another's first cannot be the fastest.
        """
        fastest, patience = math.inf, self.arguments.limit or 60.0
        ranked = sorted(
            (name != "ours", later(point), name, point)
            for name, points in contenders.items()
            if (point := best(points, goal))
        )
        for is_peer, seconds, name, point in ranked:
            if is_peer and seconds > fastest and not self.arguments.everyone:
                break
            task = (worker.measured, name, self.folder, point["form"], point["tol"], True)
            while time.monotonic() < self.end and len(point["first"]) < 3 and sum(point["first"]) < 10:
                one = worker.Worker(classifiers.CONTENDERS[name].package, point["threads"])
                found = one.ask(patience, *task)
                one.close()
                if not found:
                    break
                point["first"] += found["seconds"]
                point |= {"imports": one.imports, "peak": found["peak"]}
            if is_peer and point["first"]:
                fastest = min(fastest, statistics.median(point["first"]))
            elif point["first"]:
                patience = min(patience, max(2.0, 10 * statistics.median(point["first"])))


def walk(measure, goals: list[float], start: float, end: float) -> list[dict]:
    """Points of a peer from loose to tight tolerances, and between the decades where a goal is reached.

    Args:
        measure: of a tolerance, a point, or {} where there is none.
        goals: gaps to be reached, the widest first.
        start: the first tolerance, or one above it.
        end: on time.monotonic's clock, when the next decade is not begun.
    """
    points, goals, idle = {}, list(goals), 0
    decades = [tol for tol in DECADES if tol <= start]
    for tol in decades:
        gap = min((point["gap"] for point in points.values()), default=math.inf)
        points[tol] = point = measure(tol)
        if not point:
            break
        idle = 0 if point["gap"] < 0.9 * gap else idle + 1
        for goal in [goal for goal in goals if point["gap"] <= goal]:
            goals.remove(goal)
            low, high = tol, 10 * tol  # the one reaches the goal, the other does not
            for _ in range(0 if tol == decades[0] else 3 if later(point) < 0.3 else 1):
                middle = math.sqrt(low * high)
                points[middle] = points.get(middle) or measure(middle)
                reached = bool(points[middle]) and points[middle]["gap"] <= goal
                low, high = (middle, high) if reached else (low, middle)
        if not goals or idle == 4 or time.monotonic() > end:
            break
    return [point for point in points.values() if point]


def best(points: list[dict], goal: float) -> dict | None:
    """The point that reaches a goal soonest; ours is asked for it, and proves it."""
    return min(
        (one for one in points if max(one["gap"], one.get("asked", 0.0)) <= goal), key=later, default=None
    )


def later(point: dict) -> float:
    """Seconds of a later fit."""
    return statistics.median(point["seconds"])


def setting(point: dict) -> str:
    """How a point was reached, in words."""
    threads = {0: "", 1: ", one thread"}[point["threads"]]
    return f"{point['form']}, tol {point['tol']:.0e}{threads}"


def limit(ours: list[dict]) -> float:
    """Seconds after which a fit is stopped: ten times our longest, at least a quarter, at most 60."""
    return min(60.0, max(0.25, 10 * max(map(later, ours)))) if ours else 60.0


def measured(arguments: argparse.Namespace, table: Callable[[str, dict], str]) -> dict[str, dict]:
    """What is found of each problem asked for, its table printed as soon as it is."""
    every, runs = {}, Sweep(arguments)
    for name in chosen(arguments):
        found = runs.measure(name)
        if found["contenders"]:  # else the time was over before it
            every[name] = found
            print(f"\n{table(name, found)}", flush=True)
    runs.close()
    return every


def leave(arguments: argparse.Namespace, name: str, parts: Iterable[str]) -> None:
    """Writes a page into the folder of results."""
    with open(os.path.join(arguments.results, name), "w") as file:
        file.write("\n".join(parts))


def read(path: str) -> dict:
    """A file of results; {} where there is none."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return json.load(file)


def write(path: str, found: dict) -> None:
    """Leaves results whole, also where the program is killed meanwhile."""
    with open(f"{path}.new", "w") as file:
        json.dump(found, file, indent=1)
    os.replace(f"{path}.new", path)


def parser(description: str, group: str) -> argparse.ArgumentParser:
    """The arguments that every script on `Sweep` takes."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--problems", default=group, help="names, or groups: " + ", ".join(race_problems.GROUPS)
    )
    made.add_argument(
        "--results", default="runs/race", help="a folder that keeps what was measured; goes on from there"
    )
    made.add_argument("--a9a", default="", help="path of a9a.libsvm(.gz)")
    made.add_argument("--images", default="", help="a file of images in MNIST's format, its labels beside it")
    made.add_argument("--only", default="", help="contenders whose name holds one of these, with commas")
    made.add_argument("--again", default="", help="contenders that are measured anew, with commas")
    made.add_argument(
        "--budget", type=float, default=20, help="seconds that a contender's sweep of a problem may take"
    )
    made.add_argument(
        "--minutes", type=float, default=600, help="after which no further measurement is begun"
    )
    made.set_defaults(limit=0.0)  # seconds after which a fit is stopped; 0 for a multiple of ours
    return made


def chosen(arguments) -> list[str]:
    """The problems asked for whose file is given; prints the machine, and what is left out."""
    names = race_problems.chosen(arguments.problems)
    print(machine.summary())
    for name in classifiers.CONTENDERS:
        if not classifiers.installed(name):
            print(f"{name}: not installed, left out")
    for flag in ("a9a", "images"):
        lacking = [
            name
            for name in names
            if race_problems.PROBLEMS[name].rows == flag and not getattr(arguments, flag)
        ]
        names = [name for name in names if name not in lacking]
        if lacking:
            print(f"{', '.join(lacking)}: no --{flag}, left out")
    return names
