"""Seconds for a whole path of penalties: ours in batches over one X, scikit-learn and PyTorch fit by fit.

    pip install -e '.[cpu,benchmark]' && python benchmarks/path.py

Every contender runs in a process of its own on the same planted data; the first call counts tracing.
Each answer's distance to the optimum is bounded afterwards, in float64 from the data, by the smaller of
its own certificate and its excess over the bound from below that ours proves at the same penalty: of
the refitted choice of (a) and (b), of every value of (c). There ours runs with a solver.tol of what the
peers reach, too; in (a) and (b) that saves no step, and scikit-learn's tol is lowered instead until its gap
is about ours. Prints Markdown tables.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

import gaps
import planted
from contenders import child

CASES = {
    "a": "200,000 x 100, 2 classes, 10 penalties x 5 folds",
    "b": "20,000 x 784, 10 classes, 5 penalties x 3 folds",
    "c": "50,000 x 768, 100 classes, DINOv2's 45 penalties",
}
CONTENDERS = {
    "a": ("ours", "ours, one fit", "LogisticRegressionCV", "LogisticRegressionCV, tol 1e-6"),
    "b": ("ours", "ours, one fit", "LogisticRegressionCV", "LogisticRegressionCV, tol 1e-5"),
    "c": ("ours", "ours, tol 1e-3", "scikit-learn lbfgs, a fit a value", "PyTorch L-BFGS, a fit a value"),
}


def main() -> None:
    """Parses the arguments and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="abc", help="; ".join(f"{k}: {v}" for k, v in CASES.items()))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rows", type=int, default=0, help="instead of a case's own number")
    parser.add_argument("--only", default="", help="contenders whose name holds this")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds that a contender may take")
    parser.add_argument("--contender", help=argparse.SUPPRESS)  # what a child process measures
    parser.add_argument("--folder", help=argparse.SUPPRESS)  # where its data are
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(measure(arguments.contender, arguments.cases, arguments.folder, arguments.repeats)))
        return
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}\n")
    for case in arguments.cases:
        with tempfile.TemporaryDirectory() as arguments.folder:
            write_data(case, arguments.rows, arguments.folder)
            names = [name for name in CONTENDERS[case] if arguments.only in name]
            if arguments.rows:
                print(f"{arguments.rows:,} rows instead of:")
            print(table(case, {name: child(__file__, name, case, arguments) for name in names}), flush=True)


def table(case: str, found: dict[str, dict]) -> str:
    """A Markdown table; ratios are to ours."""
    heads = ("first call, s", "later calls, s", "ours is faster", "largest gap / null loss", "chosen C")
    lines = [f"| {CASES[case]} | {' | '.join(heads)} |", "|---" * 6 + "|"]
    ours = found.get("ours", {}).get("later")
    for name, result in found.items():
        if not result:
            lines.append(f"| {name} | n/a | | | | |")
            continue
        ratio = f"{result['later'] / ours:.1f}x" if ours else ""
        gap = largest_gap(result["fits"], found.get("ours", {}).get("fits", []))
        gap = "none" if gap is None else f"{gap:.1e}"
        chosen = f"{result['chosen']:.3g}" if result["chosen"] else ""
        lines.append(
            f"| {name} | {result['first']:.2f} | {result['later']:.2f} | {ratio} | {gap} | {chosen} |"
        )
    return "\n".join([*lines, ""])


def largest_gap(fits: list[dict], ours: list[dict]) -> float | None:
    """The largest over `fits` of the smallest bound on F - F* that is known; None where one has none."""
    bounds = []
    for fit in fits:
        known = [fit["gap"]]
        # Whatever was fitted at the same penalty, F* is no lower than what ours proves there.
        known += [fit["objective"] - one["objective"] + one["gap"] for one in ours if alike(fit, one)]
        bounds.append(min((bound for bound in known if bound is not None), default=None))
    return None if None in bounds else max(bounds)


def alike(fit: dict, one: dict) -> bool:
    """Whether two fits solve one problem and the second has a bound."""
    return one["gap"] is not None and abs(fit["l2"] / one["l2"] - 1) < 1e-9


def write_data(case: str, rows: int, folder: str) -> None:
    """Leaves X float32 [n, p] and y [n] of known weights; the last tenth of (c) validates."""
    import numpy as np

    n, p, classes = {"a": (200_000, 100, 2), "b": (20_000, 784, 10), "c": (50_000, 768, 100)}[case]
    x, y = planted.rows(rows or n, p, classes)
    np.save(f"{folder}/x.npy", x)
    np.save(f"{folder}/y.npy", y)


def strengths(case: str):
    """C [N], from the smallest, and the rows that each fit sees as a share of all."""
    import numpy as np

    if case == "c":
        return np.logspace(-6, 5, 45), 0.9
    return (np.logspace(-4, 4, 10), 0.8) if case == "a" else (np.logspace(-4, 4, 5), 2 / 3)


def measure(name: str, case: str, folder: str, repeats: int) -> dict:
    """Seconds of the first call and the median of the later ones, each fit's bound, and the chosen C."""
    import numpy as np

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    x, y = np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy")
    make = {"ours": ours, "Logi": peer_cv, "scik": peer_values, "PyTo": peer_values}[name[:4]]
    fit, seconds = make(name, case, x, y), []
    for _ in range(repeats):
        start = time.perf_counter()
        models, chosen = fit()
        seconds.append(time.perf_counter() - start)
    later = statistics.median(seconds[1:] or seconds)
    return {"first": seconds[0], "later": later, "fits": certified(x, y, models), "chosen": chosen}


def ours(name: str, case: str, x, y):
    """Arrays in memory to the refitted choice: checks, moments, placement, certificates, scores."""
    import numpy as np

    from tf_logreg import config as configs
    from tf_logreg.data import dataset as datasets
    from tf_logreg.data.arrays import from_arrays
    from tf_logreg.devices.devices import Devices
    from tf_logreg.devices.strategies import make_strategy
    from tf_logreg.fit import learn
    from tf_logreg.fit.monitor import Monitor

    devices, (grid, share) = Devices(make_strategy("one_device")), strengths(case)
    classes, n = int(y.max()) + 1, len(y)
    settings = configs.get_config()
    settings.standardize = False
    if "tol" in name:
        settings.solver.tol = float(name.split()[-1])
    if name != "ours, one fit":
        settings.path.penalty, settings.path["values"] = "l2", tuple((1 / (grid * share * n)).tolist())
        settings.cv.folds = {"a": 5, "b": 3, "c": 0}[case]
    else:  # what a single problem of the batch takes, all else the same
        settings.l2 = 1 / (grid[len(grid) // 2] * share * n)

    def fit():
        source = from_arrays(x, y, class_names=tuple(map(str, range(classes))))
        rows = {"train": np.arange(n)}
        if case == "c":
            rows = {"train": np.arange(int(share * n)), "validation": np.arange(int(share * n), n)}
        dataset = datasets.of_rows(source, rows, settings, devices)
        found = learn.learn(settings, dataset, devices, Monitor())
        if (path := found.path) is None:
            return [(found.model.kernel, found.model.bias, settings.l2, n)], None
        chosen = path.values[path.choice]
        models = [(found.model.kernel, found.model.bias, chosen, n)]
        if case == "c":
            models = [
                (path.kernel[i, 0], path.bias[i, 0], path.values[i], len(rows["train"]))
                for i in range(len(path.values))
            ]
        return models, float(1 / (chosen * share * n))

    return fit


def peer_cv(name: str, case: str, x, y):
    """scikit-learn's own path, at its defaults but for the score, a tol in the name, and more iterations."""
    import warnings

    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    warnings.simplefilter("ignore")
    grid, _ = strengths(case)
    cuts = StratifiedKFold({"a": 5, "b": 3}[case], shuffle=True, random_state=0)
    tol = float(name.split()[-1]) if "tol" in name else 1e-4
    model = LogisticRegressionCV(
        Cs=grid, cv=cuts, scoring="neg_log_loss", tol=tol, max_iter=200 if tol == 1e-4 else 2000
    )

    def fit():
        model.fit(x, y)
        chosen = float(model.C_.ravel()[0])
        return [(model.coef_.T, model.intercept_, 1 / (chosen * len(y)), len(y))], chosen

    return fit


def peer_values(name: str, case: str, x, y):
    """One fit a value, the last answer where the next begins, which is the kindest to lbfgs."""
    import numpy as np

    grid, share = strengths(case)
    n = int(share * len(y))
    x, y = x[:n], y[:n]
    penalties = 1 / (grid * n)

    def by_scikit_learn():
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(max_iter=1000, warm_start=True)
        for strength in grid:
            model.set_params(C=strength).fit(x, y)
            yield model.coef_.T.astype(np.float64), model.intercept_.astype(np.float64)

    def by_torch():
        import torch

        features, labels = torch.from_numpy(x), torch.from_numpy(y).long()
        layer = torch.nn.Linear(x.shape[1], int(y.max()) + 1)
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        for l2 in penalties:
            optimizer = torch.optim.LBFGS(
                layer.parameters(), max_iter=1000, tolerance_grad=1e-6, tolerance_change=1e-9,
                line_search_fn="strong_wolfe",
            )  # fmt: skip

            def closure(l2=float(l2), optimizer=optimizer):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(layer(features), labels)
                loss = loss + l2 / 2 * layer.weight.square().sum()
                loss.backward()
                return loss

            optimizer.step(closure)
            weights = (
                tensor.detach().numpy().astype(np.float64).copy() for tensor in (layer.weight.T, layer.bias)
            )
            yield tuple(weights)

    def fit():
        found = by_torch() if name.startswith("PyTorch") else by_scikit_learn()
        return [(*model, l2, n) for model, l2 in zip(found, penalties, strict=True)], None

    return fit


def certified(x, y, models) -> list[dict]:
    """Each (kernel, bias, l2, rows): its l2, objective and bound on F - F*, over the null model's loss."""
    rows = models[0][3]
    x, y = x[:rows], y[:rows]
    null = gaps.null_loss(y)
    found = gaps.certify(x, y, [(kernel, bias, 0.0, l2) for kernel, bias, l2, _ in models])
    return [
        {
            "l2": float(l2),
            "objective": one.objective / null,
            "gap": None if one.gap is None else one.gap / null,
        }
        for (_, _, l2, _), one in zip(models, found, strict=True)
    ]


if __name__ == "__main__":
    main()
