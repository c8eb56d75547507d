"""Tables of numbers and words: from a file to a fitted, measured and saved model, ours and its peers.

    pip install -e '.[cpu,tables,benchmark]' && python benchmarks/tables.py

A Parquet file of 1,000,000 rows has 10 columns of numbers, with holes, and 10 of words, of 2 to 1,000
levels; a CSV file has twice as many rows of 10 such columns. Each contender has a process of its own for
each file. It makes the same features, numbers of deviation one, 'is missing' and all levels, and fits with
the same l2 until the gap of its answer, (F - F*) / F(0), is at most --gap: one tolerance is tried after the
other, and the first that is enough is timed. Our certificate proves that no answer is below F*. glum keeps
levels of fewer than 5 rows, which are pooled elsewhere; a million rows have none. Memory is the peak of a
part above its start.
Prints Markdown: seconds and GB of each part, and with --profile where our time goes.
"""

import argparse
import cProfile
import importlib.util
import json
import os
import pickle
import tempfile
import time

import contenders
import machine
import numpy as np

CONTENDERS = ("pyarrow", "ours", "scikit-learn", "glum")
LEVELS = {"parquet": (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000), "csv": (2, 10, 50, 200, 1000)}
PARTS = ("imports", "read", "encode", "fit", "evaluate", "export")
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
HOLES = 0.05


def write(folder: str, form: str, rows: int, seed: int = 0) -> None:
    """Writes `folder`/table.parquet or table.csv, whose labels follow a planted model."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    rng = np.random.default_rng(seed)
    columns, logits = {}, np.zeros(rows)
    for k, count in enumerate(LEVELS[form]):
        x = rng.standard_normal(rows).round(3) * 10 ** (k % 4)
        columns[f"number {k}"] = pa.array(x, mask=rng.random(rows) < HOLES)
        logits += rng.standard_normal() * 0.3 * x / 10 ** (k % 4)
        share = 1 / (np.arange(count) + 5.0)
        code = rng.choice(count, rows, p=share / share.sum())
        words = pa.array([f"level {level}" for level in range(count)])
        columns[f"word {k}"] = words.take(pa.array(code, mask=rng.random(rows) < HOLES))
        logits += 0.3 * rng.standard_normal(count)[code]
    yes = rng.random(rows) * (1 + np.exp(-logits)) < 1
    columns["label"] = pa.array(["no", "yes"]).take(pa.array(yes.astype(int)))
    to = pa.csv.write_csv if form == "csv" else pa.parquet.write_table
    to(pa.table(columns), os.path.join(folder, f"table.{form}"))


class Parts:
    """Seconds and peak memory of each part, one after the other."""

    def __init__(self):
        """Begins with none."""
        self.found = {}

    def run(self, name: str, task, *arguments):
        """What `task(*arguments)` returns, measured as `name`."""
        with machine.Peak() as memory:
            start = time.perf_counter()
            answer = task(*arguments)
            seconds = time.perf_counter() - start
        self.found[name] = (seconds, memory.above / 1e9)
        return answer


def arrow(path: str, parts: Parts, _: dict) -> dict:
    """Reading alone, by Arrow itself."""
    parts.run("imports", lambda: __import__("pyarrow.csv") and __import__("pyarrow.parquet"))
    import pyarrow.csv
    import pyarrow.parquet

    read = pyarrow.csv.read_csv if path.endswith("csv") else pyarrow.parquet.read_table
    parts.run("read", read, path)
    return {}


def ours(path: str, parts: Parts, options: dict) -> dict:
    """The whole road of a run, a part at a time."""
    parts.run("imports", _import_ours)
    import tf_logreg
    from tf_logreg import outcome
    from tf_logreg.data import dataset as datasets
    from tf_logreg.data import load, tabular
    from tf_logreg.devices.devices import Devices
    from tf_logreg.fit import learn
    from tf_logreg.fit.monitor import Monitor
    from tf_logreg.results import measurement

    config, devices = tf_logreg.config.load("table"), Devices(None, "float32")
    config.data.label, config.data.test_fraction, config.path.penalty = "label", 0.0, ""
    config.C, config.solver.tol = 1.0, options["gap"]
    table = parts.run("read", lambda: load.load("table", path=path))

    def encode():
        source, rows = tabular.read(table, config)
        return datasets.of_rows(source, rows, config, devices, files={})

    dataset = parts.run("encode", encode)
    fit = parts.run("fit", learn.learn, config, dataset, devices, Monitor())
    metrics, _ = parts.run(
        "evaluate", measurement.evaluate_model,
        config.evaluate, fit.model.in_units(dataset.exponent), dataset.source, dataset.rows, devices,
    )  # fmt: skip
    model = outcome.with_rows(fit.model, dataset)
    with tempfile.TemporaryDirectory() as folder:
        parts.run("export", model.export, folder)
    objective = fit.trained.objective
    return {
        "objective": objective, "lower": objective - fit.trained.certificate.gap,
        "features": dataset.num_features, **metrics["train"],
    }  # fmt: skip


def _import_ours() -> None:
    """What a run imports before it reads its rows."""
    for name in ("tensorflow", "tf_logreg.export.saved_model"):
        importlib.import_module(name)


def scikit_learn(path: str, parts: Parts, options: dict) -> dict:
    """pandas, ColumnTransformer and LogisticRegression(solver='lbfgs')."""
    parts.run("imports", lambda: __import__("sklearn.compose") and __import__("pandas"))
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame, y = parts.run("read", _pandas, path)
    numbers, words = _columns(frame)
    rare = {"min_frequency": 5, "handle_unknown": "infrequent_if_exist"}
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("holes", MissingIndicator(), numbers),
            ("words", OneHotEncoder(**rare), words),
        ],
        sparse_threshold=1.0,
    )
    x = parts.run("encode", columns.fit_transform, frame)

    def fit(tol):
        model = LogisticRegression(C=1.0, tol=tol, max_iter=10_000).fit(x, y)
        return model, model.coef_[0], model.decision_function(x)

    model, found = _first_that_is_enough(parts, options, y, fit)
    parts.run("evaluate", _scores, y, lambda: model.predict_proba(x)[:, 1])
    parts.run("export", pickle.dumps, (columns, model))
    return {**found, "features": x.shape[1]}


def glum(path: str, parts: Parts, options: dict) -> dict:
    """pandas, tabmat's categorical matrices and glum."""
    parts.run("imports", lambda: __import__("glum") and __import__("tabmat") and __import__("pandas"))
    import glum
    import tabmat

    frame, y = parts.run("read", _pandas, path)
    numbers, words = _columns(frame)

    def encode():
        holes = frame[numbers].isna().astype(float).add_suffix(" is missing")
        filled = frame[numbers].fillna(frame[numbers].mean())
        scaled = (filled - filled.mean()) / filled.std(ddof=0)
        levels = frame[words].astype("category")
        return tabmat.SplitMatrix(
            [
                tabmat.DenseMatrix(np.asfortranarray(scaled)),
                tabmat.SparseMatrix(holes.to_numpy()),
                *(tabmat.CategoricalMatrix(levels[w], cat_missing_method="convert") for w in words),
            ]
        )

    x = parts.run("encode", encode)

    def fit(tol):
        model = glum.GeneralizedLinearRegressor(
            family="binomial", alpha=1 / len(y), l1_ratio=0, gradient_tol=tol, max_iter=1000
        ).fit(x, y.astype(float))
        return model, model.coef_, x @ model.coef_ + model.intercept_

    model, found = _first_that_is_enough(parts, options, y, fit)
    parts.run("evaluate", _scores, y, lambda: model.predict(x))
    parts.run("export", pickle.dumps, model)
    return {**found, "features": x.shape[1]}


def _pandas(path: str):
    """The frame of a file without its label, and the label."""
    import pandas

    frame = pandas.read_csv(path) if path.endswith("csv") else pandas.read_parquet(path)
    return frame.drop(columns="label"), (frame["label"] == "yes").to_numpy()


def _columns(frame) -> tuple[list[str], list[str]]:
    numbers = [name for name in frame if name.startswith("number")]
    return numbers, [name for name in frame if name not in numbers]


def _first_that_is_enough(parts: Parts, options: dict, y: np.ndarray, fit) -> tuple:
    """The model of the first tolerance whose answer is within the gap, and its objective."""
    for tol in TOLERANCES:
        model, kernel, logits = parts.run("fit", fit, tol)
        loss = np.logaddexp(0, np.where(y, -logits, logits)).mean()
        objective = float(loss + kernel @ kernel / len(y) / 2)
        if (objective - options["lower"]) / np.log(2) <= options["gap"]:
            break
    return model, {"objective": objective, "tol": tol}


def _scores(y: np.ndarray, predict) -> tuple[float, ...]:
    """Log loss, accuracy and area."""
    from sklearn import metrics

    p = predict()
    return metrics.log_loss(y, p), ((p > 0.5) == y).mean(), metrics.roc_auc_score(y, p)


def contender(arguments: argparse.Namespace) -> dict:
    """What one contender takes for one file."""
    task = {"pyarrow": arrow, "ours": ours, "scikit-learn": scikit_learn, "glum": glum}[arguments.contender]
    path, parts = os.path.join(arguments.folder, f"table.{arguments.form}"), Parts()
    options = {"gap": arguments.gap, "lower": arguments.lower}
    if not arguments.profile:
        return {**task(path, parts, options), "parts": parts.found}
    profiler = cProfile.Profile()
    found = profiler.runcall(task, path, parts, options)
    return {**found, "parts": parts.found, "profile": machine.profile_lines(profiler, "tf_logreg", 40)}


def measured(form: str, arguments: argparse.Namespace) -> dict[str, dict]:
    """What all contenders take for one file, ours before its peers, who need our bound."""
    found, lower = {}, 0.0
    for name in arguments.only.split(","):
        if name == "glum" and not (importlib.util.find_spec("glum") and importlib.util.find_spec("tabmat")):
            continue
        options = [f"--folder={arguments.folder}", f"--form={form}", f"--lower={lower!r}"]
        options += [f"--gap={arguments.gap}", *["--profile"] * (arguments.profile and name == "ours")]
        found[name] = contenders.run(__file__, name, options, arguments.timeout)
        lower = found[name].get("lower", lower)
    return found


def table(form: str, rows: int, found: dict[str, dict]) -> str:
    """A file's Markdown: a line a part, seconds and GB of each contender; and what each found."""
    names = [name for name in found if found[name]]
    lines = [[f"{form}, {rows:,} rows", *names]]
    for part in PARTS:
        cells = [found[name]["parts"].get(part) for name in names]
        lines.append([part, *(f"{c[0]:.2f} s, {c[1]:.2f} GB" if c else "" for c in cells)])
    parts = [found[name]["parts"] for name in names]
    lines.append(["all", *(f"{sum(seconds for seconds, _ in some.values()):.2f} s" for some in parts)])
    for key in ("features", "objective", "tol"):
        lines.append([key, *(f"{found[name][key]:.9g}" if key in found[name] else "" for name in names)])
    return machine.aligned(lines)


def main() -> None:
    """Parses the arguments, writes the files, measures, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="of the Parquet file; the CSV has twice as many"
    )
    parser.add_argument("--forms", default="parquet,csv")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, ours before its peers")
    parser.add_argument("--gap", type=float, default=1e-6, help="at which every fit ends, relative to F(0)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds of a contender and a file")
    parser.add_argument("--profile", action="store_true", help="also where our time goes, which adds to it")
    for name, kind in (("contender", str), ("folder", str), ("form", str), ("lower", float)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(contender(arguments), default=float))
        return
    print(machine.summary(), "\n")
    for form in arguments.forms.split(","):
        rows = arguments.rows * (2 if form == "csv" else 1)
        with tempfile.TemporaryDirectory() as arguments.folder:
            write(arguments.folder, form, rows)
            found = measured(form, arguments)
        print(table(form, rows, found))
        print("\n".join(found.get("ours", {}).get("profile", [])))


if __name__ == "__main__":
    main()
