"""What a notebook shows of us: our log lines, progress, and results as tables and pictures."""

import contextlib
import logging
import re
import sys
import types
from xml.etree import ElementTree

import numpy as np
import pytest

import tf_logreg
from tf_logreg import notebook
from tf_logreg.data import cats_and_dogs
from tf_logreg.fit import progress
from tf_logreg.model import page
from tf_logreg.model.head import Head

PETS = {name: values for name, values in cats_and_dogs.table().items() if name != "id"}
OURS = logging.getLogger("tf_logreg")


@pytest.fixture
def kernel(monkeypatch):
    """This process in the place of a notebook's kernel."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


@contextlib.contextmanager
def root_with(*handlers):
    """The root logger with these handlers alone, without pytest's: with none as Jupyter leaves it."""
    logger = logging.getLogger()
    before, logger.handlers = logger.handlers, list(handlers)
    yield
    logger.handlers = before


@pytest.mark.parametrize(
    "shell", [None, types.SimpleNamespace()], ids=["no IPython", "IPython in a terminal"]
)
def test_a_terminal_is_no_notebook(monkeypatch, shell):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert not notebook.is_running()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.is_running()


def test_log_lines_are_printed_within_the_block_alone(capsys):
    with root_with(), notebook.log_lines(True):
        OURS.getChild("fit").info("a line")
        OURS.warning("a warning")
        logging.getLogger("tensorflow").warning("a warning of TensorFlow's")
    OURS.info("later")
    with notebook.log_lines(False):
        OURS.info("never")
    out, err = capsys.readouterr()
    assert re.fullmatch(r"\d\d:\d\d:\d\d a line\n\d\d:\d\d:\d\d a warning\n", out)
    assert err == ""
    assert (OURS.level, OURS.handlers, OURS.propagate) == (logging.NOTSET, [], True)


def test_what_reaches_the_callers_handlers_is_left_to_them(capsys):
    """Colab's root logger has a handler, from level WARNING on."""
    seen = logging.Handler()
    records = []
    seen.emit = records.append
    with root_with(seen), notebook.log_lines(True):
        OURS.info("a line")
        OURS.warning("a warning")
    assert [record.getMessage() for record in records] == ["a warning"]
    assert capsys.readouterr().out.endswith(" a line\n")


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_a_level_that_the_caller_has_set_stands(capsys, level):
    OURS.setLevel(level)
    try:
        with notebook.log_lines(True):
            OURS.info("a line")
    finally:
        OURS.setLevel(logging.NOTSET)
    assert capsys.readouterr().out == ""


def test_progress_shows_in_a_notebook_with_the_time_left(kernel, capsys):
    with progress.bar(10) as show:
        show(5, 0.5, 1e3)
        show(10, 0.4, 1e3)
    with progress.gap_bar(1e-6, interval=0.0) as show:
        show(1, 0.5, 1.0)
        show(2, 0.4, 1e-3)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"10/10 \[\d\d:\d\d<\d\d:\d\d.*objective=0.4000, rows_per_second=1,000\]", err)
    assert re.search(r"<.*gap=1.0e-03, objective=0.400000, passes=2", err)


def test_a_frame_and_an_estimator_show_their_log_lines(kernel, capsys):
    config = tf_logreg.config.load("table")
    config.path.penalty, config.cv.folds, config.l2 = "", 0, 0.01
    tf_logreg.train(PETS, label="animal", config=config)
    assert "solver.name='auto' takes newton" in capsys.readouterr().out
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    tf_logreg.LogisticRegression(verbose=1, C=2.0).fit(x, y)
    out = capsys.readouterr().out
    assert re.search(r"C=2 is l1=0, l2=0.0125", out)
    assert "passes: objective" in out
    tf_logreg.LogisticRegression().fit(x, y)
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def model():
    return tf_logreg.train(PETS, label="animal")


def test_a_model_shows_its_table_and_its_path(model):
    text = model._repr_html_()
    root = ElementTree.fromstring(text)  # well formed
    cells = [[cell.text for cell in row] for row in root.find("table").iter("tr")]
    assert cells[0] == [None, "rows", "log loss", "accuracy", "ROC AUC"]
    test = model.result["metrics"]["test"]
    assert cells[-1][:4] == ["test", "96", f"{test['log_loss']:.6f}", f"{test['accuracy']:.4f}"]
    lines = [line.strip() for line in model.summary().splitlines()]
    of_table = [line for line in lines if re.match(r"(train|test) +\d+ rows", line)]
    assert len(of_table) == 2
    assert {*lines} - {*of_table} <= {*root.itertext()}
    svg = root.find("{http://www.w3.org/2000/svg}svg")
    assert f"chosen: l2 = {model.result['path']['chosen']:.3g}" in "".join(svg.itertext())
    assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"script", "style", "metadata"}
    assert len(text) < 40_000


def test_names_are_escaped():
    weights = np.ones((1, 1)), np.zeros(1)
    found = tf_logreg.Model(*weights, ("<b>x</b>",), ("a", "<script>"), Head("sigmoid", 2), mean=np.zeros(1),
                            deviation=np.ones(1), result=_result())  # fmt: skip
    text = found._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "<b>" not in text


def _result():
    numbers = {"num_rows": 3, "log_loss": None, "accuracy": 1.0, "roc_auc": None, "label/mean": 0.5}
    return {
        "status": "optimal", "message": "<b>", "objective": 0.5, "certified_gap": None, "path": None,
        "communication": None, "metrics": {"test": numbers},
    }  # fmt: skip


def test_a_result_shows_its_table_and_is_a_dict(small_config, tmp_path):
    found = tf_logreg.train(small_config, str(tmp_path / "run"))
    assert isinstance(found, dict)
    assert "<td>0." in found._repr_html_()
    again = tf_logreg.train(small_config, str(tmp_path / "run"))
    assert again == found
    assert again._repr_html_() == found._repr_html_()


def test_a_model_without_a_result_and_a_path_of_an_older_version(model):
    bare = tf_logreg.Model(model.kernel, model.bias, model.feature_names, model.class_names, model.head)
    assert bare._repr_html_() is None
    older = {name: value for name, value in model.result["path"].items() if name != "nonzeros"}
    assert "<svg" not in page.of({**model.result, "path": older})
