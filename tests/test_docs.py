"""What the documents point to is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
THEORY = ROOT / "docs" / "theory.md"
REFERENCES = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", THEORY.read_text())))
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize(("path", "name"), REFERENCES)
def test_theory_names_functions_and_tests_that_exist(path, name):
    names = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(node, "name")}
    assert name in names


def test_every_formula_has_a_function_and_a_test():
    for section in THEORY.read_text().split("\n## ")[1:]:
        assert re.search(r"`tf_logreg/[\w/]+\.py::", section), section.splitlines()[0]
        assert re.search(r"`tests/[\w/]+\.py::test_", section), section.splitlines()[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
