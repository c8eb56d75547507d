"""The page of a run: every number on it is in the run's files, and it stands alone."""

import csv
import html.parser
import json
import re
import warnings

import numpy as np
import pytest

import tf_logreg
from tf_logreg import config as configs
from tf_logreg import storage, training
from tf_logreg.errors import InputError
from tf_logreg.model import summary
from tf_logreg.report import chosen, pictures, report
from tf_logreg.report.numbers import MISSING, Numbers
from tf_logreg.results import workdir as directory


class Page(html.parser.HTMLParser):
    """What a page shows.

    Attributes:
        numbers: (place, value, text) of each number. prose: text that is neither a number nor verbatim.
        tags: how often each occurs. links: what it would fetch.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers, self.prose, self.tags, self.links, self.ids, self._open = [], [], {}, [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.links += [attrs[name] for name in ("src", "href", "xlink:href") if name in attrs]
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag not in ("meta", "link", "br"):
            self._open.append((tag, attrs))

    def handle_endtag(self, tag):
        opened, _ = self._open.pop()
        assert opened == tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self._open]
        attrs = self._open[-1][1] if self._open else {}
        if "data" in tags:
            self.numbers.append((attrs["data-field"], float(attrs["value"]), data))
        elif not {"svg", "style", "title"} & set(tags) and not any(
            "verbatim" in (one.get("class") or "").split() for _, one in self._open
        ):
            self.prose.append(data)


def read(workdir) -> Page:
    return Page((workdir / "report.html").read_text(encoding="utf-8"))


def shown(text: str) -> tuple[float, float]:
    """A number as printed, and half of its last digit."""
    text = text.replace("\N{MINUS SIGN}", "-").replace(",", "")
    scale = 0.01 if text.endswith("%") else 1.0
    mantissa, _, exponent = text.rstrip("%").partition("e")
    digits = len(mantissa.partition(".")[2])
    return float(text.rstrip("%")) * scale, 0.5 * scale * 10.0 ** (int(exponent or 0) - digits)


def check(workdir) -> Page:
    """Every number of the page is that of a file, rightly rounded, and the page fetches nothing."""
    page = read(workdir)
    result = json.loads((workdir / "result.json").read_text())
    arrays = dict(np.load(workdir / "metrics.npz"))
    with open(workdir / "coefficients.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    role = next(role for role in ("test", "validation", "train") if role in result["metrics"])
    dense = arrays.get(f"{role}/confusion")
    pairs = []
    if dense is not None:
        off = dense - np.diag(np.diag(dense))
        pairs = sorted(off[off > 0], reverse=True)
    files = Numbers(
        {
            "result.json": result,
            "metrics.npz": arrays,
            "coefficients.csv": {name: [line[name] for line in lines] for name in lines[0]},
            "computed": {
                "log_loss_without_features": summary.baseline(result["metrics"][role]),
                "pairs": pairs,
                "threshold": tf_logreg.load(str(workdir)).threshold,
            },
        }
    )
    assert page.numbers
    for place, value, text in page.numbers:
        assert float(files.value(place)) == value, place
        printed, half = shown(text)
        assert abs(printed - value) <= half * (1 + 1e-9) + 1e-15 * abs(value), (place, value, text)
    # What stands between the numbers has none of its own, but for the level of the intervals.
    prose = " ".join(" ".join(page.prose).split())
    assert re.findall(r"\S* ?\d\S*", prose.replace("95%", "")) == []
    assert "script" not in page.tags
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    return page


def trained(config, workdir, strategies) -> dict:
    result = training.train_and_evaluate(config, str(workdir), strategy=strategies["off"])
    tf_logreg.write_report(str(workdir))
    return result


def test_ten_classes(digits_run, tmp_path):
    workdir = tmp_path.parent / "unused"
    workdir = type(tmp_path)(digits_run[0])
    assert tf_logreg.write_report(str(workdir)) == str(workdir / "report.html")
    page = check(workdir)
    text = " ".join(page.prose)
    assert "proven to be the best" in text
    assert page.tags["svg"] >= 4  # calibration, effects, weights, convergence


def test_a_table(pet_run):
    tf_logreg.write_report(str(pet_run))
    page = check(pet_run)
    assert {place for place, *_ in page.numbers} >= {
        "result.json#/metrics/test/accuracy",
        "result.json#/certified_gap",
        "metrics.npz#/test~1confusion/0/1",
        "coefficients.csv#/coefficient/0",
    }


def test_levels(pet_files, tmp_path, command):
    flags = [f"--data={pet_files}/pets.csv", "--label=animal", "--config.path.penalty=", "--config.l2=0.01"]
    code, _, err = command(
        *flags, "--config.evaluate.slices=('ears','indoor')", f"--workdir={tmp_path}/run", "--report"
    )
    assert code == 0, err
    places = {place for place, *_ in check(tmp_path / "run").numbers}
    assert "result.json#/metrics/test/slices/ears/floppy/accuracy_interval/0" in places


def test_errors_and_no_rows_held_out(tmp_path, strategies, small_config):
    small_config.data.test_fraction = 0.0
    small_config.solver.name = "newton"
    small_config.inference.cov_type = "nonrobust"
    small_config.inference.bootstrap = 20
    trained(small_config, tmp_path, strategies)
    page = check(tmp_path)
    assert "coefficients.csv#/boot_high/0" in {place for place, *_ in page.numbers}
    assert "flatter" in " ".join(page.prose)
    assert "coefficients.csv#/ci_low/0" in {place for place, *_ in page.numbers}


@pytest.mark.parametrize(
    ("output", "more"), [("sigmoid", {}), ("softmax", {"cov_type": "HC0", "bootstrap": 20})]
)
def test_without_a_bias(tmp_path, strategies, small_config, output, more):
    small_config.solver.name = "newton"
    small_config.model.output, small_config.model.bias = output, False
    small_config.inference.update(more)
    trained(small_config, tmp_path, strategies)
    check(tmp_path)
    with open(tmp_path / "coefficients.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["feature"] for line in lines] == ["x0", "x1", "x2", "x3", "x4"]
    # The run that is read back has the same lines.
    found = tf_logreg.load(str(tmp_path)).coefficients()
    for name in lines[0]:
        assert [str(value) for value in found[name]] == [line[name] for line in lines]


def test_a_path(tmp_path, strategies, small_config):
    small_config.solver.name = "newton"
    small_config.path.penalty = "l2"
    small_config.path.num = 4
    small_config.cv.folds = 3
    trained(small_config, tmp_path, strategies)
    assert "Strengths tried" in (tmp_path / "report.html").read_text()
    check(tmp_path)


def test_many_classes_and_features_stay_small(tmp_path, strategies, monkeypatch):
    config = configs.get_config()
    config.data.source = "synthetic"
    config.data.args = {"num_rows": 3000, "num_features": 400, "num_classes": 150}
    config.data.test_fraction = 0.3
    config.solver.name, config.minibatch.epochs = "minibatch", 1
    trained(config, tmp_path, strategies)
    page = check(tmp_path)
    assert "not proven to be the best" in " ".join(page.prose)
    assert "Left out" in " ".join(page.prose)
    assert (tmp_path / "report.html").stat().st_size < 1e6
    # Where coefficients are too many to be laid out the page has the same ones.
    monkeypatch.setattr(chosen, "_MOST_LAID_OUT", 1000)
    tf_logreg.write_report(str(tmp_path))
    again = read(tmp_path)

    def listed(one: Page) -> list:
        return [number[1:] for number in one.numbers if number[0].startswith("coefficients.csv")]

    assert listed(page) == listed(again)
    assert len(listed(again)) == 2 * 40


def test_separated_rows_are_no_optimum(tmp_path, strategies):
    x = np.linspace(-1, 1, 60)[:, None]
    np.savez(tmp_path / "rows.npz", x=x, y=(x[:, 0] > 0).astype(int))
    config = configs.get_config()
    config.data.source, config.data.args = "npz", {"path": str(tmp_path / "rows.npz")}
    config.solver.name, config.l2 = "newton", 0.0
    result = trained(config, tmp_path / "run", strategies)
    assert result["status"] == "separated"
    assert "not proven to be the best" in " ".join(check(tmp_path / "run").prose)


def test_names_do_no_harm(tmp_path, strategies):
    names = ["<script>alert(1)</script>", "a & b", "$x^2$", '"quoted"']
    x = np.random.default_rng(0).normal(size=(80, 4))
    y = np.array(["</h1>", "<b>"])[(x[:, 0] + np.random.default_rng(1).normal(size=80) > 0).astype(int)]
    np.savez(tmp_path / "rows.npz", x=x, y=y, feature_names=names)
    config = configs.get_config()
    config.data.source, config.data.args = "npz", {"path": str(tmp_path / "rows.npz")}
    config.solver.name = "newton"
    trained(config, tmp_path / "run", strategies)
    page = check(tmp_path / "run")
    assert "b" not in page.tags
    assert "&lt;script&gt;" in (tmp_path / "run" / "report.html").read_text()


def test_names_are_no_formulas_and_need_no_font():
    names = (r"$\frac$", "\N{CJK UNIFIED IDEOGRAPH-6F22} $x", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = pictures.weights(np.ones((4, 3)), (2, 2), names)
        drawn += pictures.effects_by_class(list(names), np.eye(3), list(names))
    assert drawn.count(r"$\frac$") == 3


def test_weights_are_no_counts_and_two_logits_are_no_odds(tmp_path, strategies):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = (x[:, 0] + rng.normal(size=120) > 0).astype(int)
    np.savez(tmp_path / "rows.npz", x=x, y=y, weight=np.full(120, 3.0))
    config = configs.get_config()
    config.data.source, config.data.args = "npz", {"path": str(tmp_path / "rows.npz")}
    config.data.test_fraction, config.data.refit = 0.25, "all"
    config.solver.name, config.model.output, config.l2 = "newton", "softmax", 0.1
    trained(config, tmp_path / "run", strategies)
    prose = " ".join(" ".join(check(tmp_path / "run").prose).split())
    assert "probabilities mean what they say." in prose
    assert "the logit of each class, less their mean." in prose
    assert "the bars are" not in prose
    assert "log odds of" not in prose
    assert "a further fit to all rows, which has seen the test rows too" in prose
    assert "rows, all of them" in prose
    lines = summary.fit_lines(json.loads((tmp_path / "run" / "result.json").read_text()))
    assert "measured was the one to the" in lines[2]
    assert "no coefficient is more than" in lines[3]


def test_train_writes_it_and_the_mode_again(tmp_path, command):
    flags = ["--config=breast_cancer", f"--workdir={tmp_path / 'run'}", "--distribution_strategy=off"]
    code, out, err = command(*flags, "--report")
    assert (code, err) == (0, "")
    assert "result.json, model.keras, report.html, export/" in out
    first = (tmp_path / "run" / "report.html").read_bytes()
    (tmp_path / "run" / "report.html").unlink()
    assert command("--mode=report", f"--workdir={tmp_path / 'run'}") == (
        0,
        f"{tmp_path / 'run' / 'report.html'}\n",
        "",
    )
    assert (tmp_path / "run" / "report.html").read_bytes() == first
    check(tmp_path / "run")


def test_no_run_no_page(tmp_path):
    with pytest.raises(InputError, match=r"workdir: expected a finished run"):
        tf_logreg.write_report(str(tmp_path))


def test_a_number_that_is_not_there_is_a_dash():
    numbers = Numbers({"a": {"b": None, "c": [float("nan")], "d/e": 2}})
    assert [numbers.show(f"a#/{place}") for place in ("b", "b/0", "b/e", "c/0", "c/1", "x")] == [MISSING] * 6
    assert numbers.show("a#/d~1e", ",d") == '<data value="2" data-field="a#/d~1e">2</data>'


def test_an_older_run_has_a_page(digits_run, tmp_path):
    """A run of a version that wrote fewer arrays and fields."""
    folder = directory.of(digits_run[0])
    result, model = directory.read_model(folder)
    since = ("start", "measured", "threshold", "inference", "distance", "versions")
    older = {name: value for name, value in result.items() if name not in since}
    older["metrics"] = {
        role: {name: value for name, value in values.items() if "interval" not in name}
        for role, values in result["metrics"].items()
    }
    page = report.html(chosen.Run("run", directory.read_record(folder)["config"], older, model, {}))
    assert "<svg" in page
    assert "95% interval" not in page
    assert storage.Folder(str(tmp_path)).names() == []
