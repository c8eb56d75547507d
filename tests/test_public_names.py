"""What a program uses of the package: its names are there, documented, and imported when they are asked for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tf_logreg
from tf_logreg import errors, frame_training
from tf_logreg.devices import strategies
from tf_logreg.model.model import Model
from tf_logreg.results import workdir

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text().partition("\n## From Python\n")[2].partition("\n## ")[0]


def fresh(script):
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, text=True, capture_output=True, check=True, timeout=200
    )
    return done.stdout


def test_importing_the_package_imports_no_tensorflow():
    script = (
        "import sys, tf_logreg; dir(tf_logreg); tf_logreg.config.load('digits'); tf_logreg.InputError\n"
        "print([name for name in ('tensorflow', 'keras', 'sklearn', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    assert fresh(script) == "[]\n"


def test_the_names_are_what_they_stand_for():
    assert tf_logreg.train is frame_training.train
    assert tf_logreg.load is workdir.load
    assert tf_logreg.Model is Model
    assert tf_logreg.make_strategy is strategies.make_strategy
    for name in ("InputError", "RunError", "InterruptError"):
        assert getattr(tf_logreg, name) is getattr(errors, name)
    assert tf_logreg.config.get_config().l2 == 0.0


def test_no_module_takes_the_place_of_a_name():
    """A module, once imported, is an attribute of its package: none may bear the name of a function."""
    modules = {path.stem for path in Path(tf_logreg.__file__).parent.iterdir() if path.name[0] not in "._"}
    assert modules & set(tf_logreg.__all__) == {"config"}


def test_all_of_them_are_listed_and_in_the_readme_in_this_order():
    assert set(tf_logreg.__all__) <= set(dir(tf_logreg))
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    assert [
        re.match(r"\w+", name)[0] for row in rows for name in re.findall(r"`(.+?)`", row)
    ] == tf_logreg.__all__


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tf_logreg' has no attribute 'fit_all'"):
        tf_logreg.fit_all  # noqa: B018


def test_training_and_predicting_by_them(small_config, tmp_path):
    result = tf_logreg.train(small_config, str(tmp_path / "run"))
    assert result["status"] == "finished"
    # Whoever only predicts need not wait for TensorFlow.
    script = (
        f"import sys, tf_logreg; model = tf_logreg.load({str(tmp_path / 'run')!r})\n"
        "print(model.predict([[0.0] * 5])[0] in model.class_names, 'tensorflow' in sys.modules)"
    )
    assert fresh(script) == "True False\n"
    small_config.l2 = -1.0
    with pytest.raises(tf_logreg.InputError, match="l2: expected"):
        tf_logreg.train(small_config, str(tmp_path / "other"))
