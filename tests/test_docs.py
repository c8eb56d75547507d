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


def anchors(document: Path) -> set[str]:
    """What a link to a heading is called: its words in small letters, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        aim = document.parent / path if path else document
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_in_backticks_are_there(document):
    """Paths of ours: what a user makes is in no folder of the repository."""
    for path in re.findall(
        r"`((?:tf_logreg|tests|docs|configs|notebooks|benchmarks)/[\w/.]+\.\w+)", document.read_text()
    ):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"\b(\w+\.md)\b", document.read_text()):
        assert any(place.joinpath(name).exists() for place in (ROOT, ROOT / "docs")), name
