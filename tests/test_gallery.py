"""Scripts in the manner of scikit-learn's gallery, where only the import of the classifier is changed: same numbers."""

from pathlib import Path

import numpy as np
import pytest

THEIRS = "from sklearn.linear_model import LogisticRegression\n"
OURS = "from tf_logreg import LogisticRegression\n"
SCRIPTS = sorted((Path(__file__).parent / "gallery").glob("*.py"))


def numbers(path: Path, source: str) -> dict:
    """What a script leaves in `numbers`, by name."""
    names = {"__name__": path.stem}
    exec(compile(source, str(path), "exec"), names)
    return names["numbers"]


def test_there_are_scripts():
    assert len(SCRIPTS) >= 10


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_same_numbers_with_another_import(path):
    source = path.read_text()
    assert source.count(THEIRS) == 1
    expected, found = numbers(path, source), numbers(path, source.replace(THEIRS, OURS))
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
