"""Seconds to a certified optimum: ours, scikit-learn, PyTorch and others, side by side.

    pip install -e '.[cpu,benchmark]' && python benchmarks/solvers.py

Every contender runs in a process of its own on the same planted data, three times; the first call
counts imports of nothing but what it needs, tracing included. Each answer's distance to the optimum
is measured afterwards by our certificate, in float64 from the data. Prints Markdown tables.
"""

import argparse
import importlib
import json
import os
import statistics
import tempfile
import time

import gaps
import planted
from contenders import child
from streaming import PeakMemory

CASES = {
    "a": "60,000 x 784, 10 classes, l2 = 1/n",
    "b": "1,000,000 x 28, 2 classes, l2 = 1/n",
    "c": "60,000 x 784, 10 classes, l2 = 1e-3/n",
    "p": "60,000 x 784, 10 classes, l2 = 1/n, columns correlated like pixels",
    "q": "60,000 x 784, 10 classes, l2 = 1e-3/n, columns correlated like pixels",
    "d": "a9a, l1 = lambda_max / 10",
    "e": "a9a, l1 = lambda_max / 100",
}
SMOOTH = (
    "ours",
    "ours, gradient descent",
    "scikit-learn newton-cholesky, float32",
    "scikit-learn newton-cholesky, float64",
    "scikit-learn newton-cg, float32",
    "scikit-learn lbfgs, float32",
    "scikit-learn-intelex lbfgs, float32",
    "PyTorch L-BFGS",
    "Snap ML",
)
SPARSE = ("ours", "celer", "scikit-learn saga, float64")


def main() -> None:
    """Parses the arguments and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cases", default="abc", help="letters of: " + "; ".join(f"{k} {v}" for k, v in CASES.items())
    )
    parser.add_argument("--a9a", default="", help="path of a9a.libsvm(.gz), for cases d and e")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="contenders whose name holds one of these, with commas")
    parser.add_argument("--timeout", type=int, default=600, help="seconds that a contender may take")
    parser.add_argument("--contender", help=argparse.SUPPRESS)  # what a child process measures
    parser.add_argument("--folder", help=argparse.SUPPRESS)  # where its data are
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(measure(arguments.contender, arguments.cases, arguments.folder, arguments.repeats)))
        return
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "default")
    print(f"{len(os.sched_getaffinity(0))} cores; ONEDNN_MAX_CPU_ISA: {isa}\n")
    for case in arguments.cases:
        parts = arguments.only.split(",")
        contenders = [c for c in (SPARSE if case in "de" else SMOOTH) if any(part in c for part in parts)]
        with tempfile.TemporaryDirectory() as arguments.folder:
            write_data(case, arguments.a9a, arguments.folder)
            print(
                table(case, {name: child(__file__, name, case, arguments) for name in contenders}), flush=True
            )


def table(case: str, found: dict[str, dict]) -> str:
    """A Markdown table; ratios are to ours."""
    heads = ("first call, s", "later calls, s", "ours is faster", "gap / null loss", "peak memory / X")
    lines = [
        f"| {CASES[case]} | {' | '.join(heads)} |",
        "|---" * 6 + "|",
    ]
    ours = found.get("ours", {}).get("later")
    for name, result in found.items():
        if not result:
            lines.append(f"| {name} | n/a | | | | |")
            continue
        ratio = f"{result['later'] / ours:.1f}x" if ours else ""
        gap = "none" if result["gap"] is None else f"{result['gap']:.1e}"
        lines.append(
            f"| {name} | {result['first']:.2f} | {result['later']:.2f} | {ratio} | {gap} "
            f"| {result['memory']:.1f} |"
        )
    return "\n".join([*lines, ""])


def data(case: str, a9a: str):
    """X float32 [n, p], y [n] int32, the number of classes, l1 and l2 of a case."""
    import numpy as np

    if case in "de":
        from sklearn.datasets import load_svmlight_file

        x, y = load_svmlight_file(a9a)
        x, y = x.toarray().astype(np.float32), (y > 0).astype(np.int32)
        largest = np.abs((y - y.mean()) @ x).max() / len(y)
        return x, y, 2, float(largest) / (10 if case == "d" else 100), 0.0
    n, p, classes = (1_000_000, 28, 2) if case == "b" else (60_000, 784, 10)
    x, y = planted.rows(n, p, classes, pixels=case in "pq")
    return x, y, classes, 0.0, (1e-3 if case in "cq" else 1.0) / n


def write_data(case: str, a9a: str, folder: str) -> None:
    """Leaves a case's data where a child finds them: what makes them takes memory of its own."""
    import numpy as np

    x, y, classes, l1, l2 = data(case, a9a)
    np.save(f"{folder}/x.npy", x)
    np.save(f"{folder}/y.npy", y)
    with open(f"{folder}/problem.json", "w") as file:
        json.dump([classes, l1, l2], file)


def measure(name: str, case: str, folder: str, repeats: int) -> dict:
    """Seconds of the first call and the median of the later ones, how far the answer is, the memory.

    Memory is the greatest resident set of the fits above that of the process before the data.
    """
    import numpy as np
    import psutil

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warm_up(name)
    before = psutil.Process().memory_info().rss
    x, y = np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy")
    with open(f"{folder}/problem.json") as file:
        problem = json.load(file)
    fit = (ours if name.startswith("ours") else peer)(name, x, y, *problem)
    seconds = []
    with PeakMemory() as memory:
        for _ in range(repeats):
            start = time.perf_counter()
            kernel, bias = fit()
            seconds.append(time.perf_counter() - start)
    gap = relative_gap(x, y, *problem, kernel, bias)
    above = (memory.peak - before) / x.nbytes
    later = statistics.median(seconds[1:] or seconds)
    return {"first": seconds[0], "later": later, "gap": gap, "memory": above}


def warm_up(name: str) -> None:
    """Imports what a contender needs and runs TensorFlow's first function: no part of any fit."""
    if name.startswith("ours"):
        importlib.import_module("tf_logreg.fit.learn")
        import tensorflow as tf

        tf.function(lambda: tf.matmul(tf.ones([8, 8]), tf.ones([8, 8])))()
    else:
        importlib.import_module("torch" if name.startswith("PyTorch") else "sklearn.linear_model")


def ours(name: str, x, y, classes: int, l1: float, l2: float):
    """The library's own path from arrays in memory: checks, moments, placement, fit, certificate."""
    import numpy as np

    from tf_logreg import config as configs
    from tf_logreg.data import dataset as datasets
    from tf_logreg.data.arrays import from_arrays
    from tf_logreg.devices.devices import Devices
    from tf_logreg.devices.strategies import make_strategy
    from tf_logreg.fit import learn
    from tf_logreg.fit.monitor import Monitor

    devices, settings = Devices(make_strategy("one_device")), configs.get_config()
    settings.l1, settings.l2, settings.standardize = l1, l2, False
    settings.solver.name = "gradient_descent" if "gradient" in name else "auto"
    settings.solver.max_passes = 300 if "gradient" in name else 1000

    def fit():
        source, rows = from_arrays(x, y, class_names=tuple(map(str, range(classes)))), np.arange(len(x))
        dataset = datasets.of_rows(source, {"train": rows}, settings, devices)
        model = learn.learn(settings, dataset, devices, Monitor()).model
        return model.kernel, model.bias

    return fit


def peer(name: str, x, y, classes: int, l1: float, l2: float):
    """A peer at its own settings for the same objective, stopped as tightly as it takes to reach 1e-6."""
    import numpy as np

    n = len(y)
    if name == "PyTorch L-BFGS":
        return torch_lbfgs(x, y, classes, l2)
    if name == "Snap ML":
        from snapml import LogisticRegression
    elif "intelex" in name:
        from sklearnex.linear_model import LogisticRegression
    else:
        from sklearn.linear_model import LogisticRegression
    if name == "celer":
        from celer import LogisticRegression

        model = LogisticRegression(C=1 / (l1 * n), tol=1e-8, max_iter=1000)
        signed = 2 * y - 1
    elif name == "Snap ML":
        model = LogisticRegression(
            regularizer=l2 * n, fit_intercept=True, use_gpu=False, n_jobs=2, tol=1e-6, max_iter=10_000
        )
        signed = y
    else:
        solver = name.split()[1].rstrip(",")
        penalty = {"C": 1 / (l1 * n), "l1_ratio": 1.0} if l1 else {"C": 1 / (l2 * n)}
        model = LogisticRegression(solver=solver, tol=1e-5 if not l1 else 1e-6, max_iter=10_000, **penalty)
        signed = y
    x = x.astype(np.float64) if "float64" in name or name == "celer" else x

    def fit():
        model.fit(x, signed)
        return model.coef_.T.astype(np.float64), np.atleast_1d(model.intercept_).astype(np.float64)

    return fit


def torch_lbfgs(x, y, classes: int, l2: float):
    """Full-batch L-BFGS with a strong Wolfe line search, as PyTorch's documentation has it."""
    import numpy as np
    import torch

    features, labels = torch.from_numpy(x), torch.from_numpy(y).long()

    def fit():
        model = torch.nn.Linear(x.shape[1], 1 if classes == 2 else classes)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        optimizer = torch.optim.LBFGS(
            model.parameters(), max_iter=2000, tolerance_grad=1e-7, tolerance_change=1e-10, history_size=10,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure():
            optimizer.zero_grad()
            z = model(features)
            if classes == 2:
                loss = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], labels.float())
            else:
                loss = torch.nn.functional.cross_entropy(z, labels)
            loss = loss + l2 / 2 * model.weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        return model.weight.detach().numpy().T.astype(np.float64), model.bias.detach().numpy().astype(
            np.float64
        )

    return fit


def relative_gap(x, y, classes: int, l1: float, l2: float, kernel, bias) -> float | None:
    """Our certificate's bound on F - F*, over the loss of the best model without features.

    An answer far from the optimum may have no bound of its own; the optimum's does then, by a fit.
    """
    best_kernel, best_bias = ours("ours", x, y, classes, l1, l2)()
    found, best = gaps.certify(x, y, [(kernel, bias, l1, l2), (best_kernel, best_bias, l1, l2)])
    # Two upper bounds: the answer's own, and its excess over an answer that is certified.
    excess = found.objective - best.objective + best.gap
    bounds = [bound for bound in (found.gap, found.gradient_bound, excess) if bound is not None]
    return float(min(bounds) / gaps.null_loss(y))


if __name__ == "__main__":
    main()
