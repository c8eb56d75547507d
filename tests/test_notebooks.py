"""Each notebook runs from top to bottom in a kernel of its own, and is kept without outputs."""

import runpy
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What a reader may change, and what the tests put there to do without the network.
OFFLINE = {"article": ('MNIST = "download"', 'MNIST = ""')}


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


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
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


def test_the_pictures_of_the_theory_are_those_of_the_article():
    pictures = runpy.run_path(str(ROOT / "docs" / "pictures" / "theory.py"))["PICTURES"]
    article = nbformat.read(ROOT / "notebooks" / "article.ipynb", as_version=4)
    assert pictures.keys() <= {cell.id for cell in article.cells}
    theory = (ROOT / "docs" / "theory.md").read_text()
    for name in pictures.values():
        assert f"](pictures/{name})" in theory
        assert (ROOT / "docs" / "pictures" / name).exists()
