"""Each notebook runs from top to bottom in a kernel of its own, and is kept without outputs."""

import importlib.util
import runpy
import subprocess
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What a reader may change, and what the tests put there to do without the network.
OFFLINE = {
    "article": ('MNIST = "download"', 'MNIST = ""'),
    "colab_gpu_tpu": ('DATA = "mnist"', 'DATA = "digits"'),
}


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "article",
        "colab_gpu_tpu",
        "estimator",
        "linear_probe",
        "quickstart",
        "table",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def mark(path):
    """Colab's notebook is run with Colab's versions each time; half a minute, the others take two."""
    return pytest.mark.versions if path.stem == "colab_gpu_tpu" else pytest.mark.long


@pytest.mark.parametrize("path", [pytest.param(path, marks=mark(path), id=path.stem) for path in NOTEBOOKS])
def test_runs_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    online, offline = OFFLINE.get(path.stem, ("", ""))
    assert any(online in cell.source for cell in notebook.cells)
    for cell in notebook.cells:
        cell.source = cell.source.replace(online, offline) if online else cell.source
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.get("text", "") + str(output.get("data", "")) for output in outputs]
    assert any("accuracy" in text for text in shown)


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Runs Colab's cell that installs, in a folder without the package: install(git url) -> what pip is given."""
    given, real = [], importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ml_collections" else real(name)
    )
    monkeypatch.setattr(subprocess, "run", lambda command, check: given.extend(command))
    monkeypatch.chdir(tmp_path)
    colab = nbformat.read(ROOT / "notebooks" / "colab_gpu_tpu.ipynb", as_version=4)

    def run(url=""):
        (cell,) = [cell for cell in colab.cells if cell.id == "install"]
        assert 'GIT_URL = ""' in cell.source
        exec(cell.source.replace('GIT_URL = ""', f"GIT_URL = {url!r}"), {})
        return given[-1]

    return run


@pytest.mark.parametrize("place", [".", "clone", ".."])
def test_colab_finds_the_package_beside_itself_or_in_a_clone(install, tmp_path, monkeypatch, place):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    package = tmp_path / "notebooks" / place / "tf_logreg"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    assert Path(install()).resolve() == package.parent.resolve()


def test_colab_takes_the_package_from_an_address_or_says_what_it_needs(install):
    with pytest.raises(FileNotFoundError, match="clone the repository beside this notebook, or give GIT_URL"):
        install()
    assert install("https://git.example/tf_logreg") == "tf_logreg @ git+https://git.example/tf_logreg"


def test_colab_needs_six_cells():
    assert len(nbformat.read(ROOT / "notebooks" / "colab_gpu_tpu.ipynb", as_version=4).cells) <= 6


def test_the_pictures_of_the_theory_are_those_of_the_article():
    pictures = runpy.run_path(str(ROOT / "docs" / "pictures" / "theory.py"))["PICTURES"]
    article = nbformat.read(ROOT / "notebooks" / "article.ipynb", as_version=4)
    assert pictures.keys() <= {cell.id for cell in article.cells}
    theory = (ROOT / "docs" / "theory.md").read_text()
    for name in pictures.values():
        assert f"](pictures/{name})" in theory
        assert (ROOT / "docs" / "pictures" / name).exists()
