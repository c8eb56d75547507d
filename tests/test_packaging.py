"""What is imported is declared, and every constraint file pins what is declared within its bounds."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()
}
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
CONSTRAINTS = sorted(ROOT.glob("constraints-*.txt"))


def imported(*folders: str) -> dict[str, str]:
    """Top-level modules of others that the files import, functions included, each with one such file."""
    found = {}
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names}
    ours = {"tf_logreg", "configs", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    return {name: path for name, path in found.items() if name not in {*sys.stdlib_module_names, *ours}}


def declared(requirements: list[Requirement]) -> set[str]:
    return {normal(requirement.name) for requirement in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("tf_logreg", "configs"), ("cpu", "onnx", "plan", "tables")),
        (("tests",), ("cpu", "plan", "dev")),
    ],
    ids=["product", "tests"],
)
def test_what_is_imported_is_declared(folders, extras):
    known = declared(CORE) | {name for extra in extras for name in declared(EXTRAS[extra])}
    owners = importlib.metadata.packages_distributions()
    for module, path in imported(*folders).items():
        # A module that is not installed here, JAX for one, bears its distribution's name.
        owning = {normal(name) for name in owners.get(module, [module])}
        assert owning & known, f"{path} imports {module}, of {owning}, which pyproject.toml does not declare"


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
def test_pins_are_within_the_declared_bounds(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    pins = {normal(pin.name): str(pin.specifier).removeprefix("==") for pin in map(Requirement, lines)}
    for requirement in CORE:
        assert requirement.specifier.contains(pins[normal(requirement.name)]), requirement
    for extra in ("cpu", "dev"):
        for requirement in EXTRAS[extra]:
            if normal(requirement.name) in pins:
                assert requirement.specifier.contains(pins[normal(requirement.name)]), requirement
