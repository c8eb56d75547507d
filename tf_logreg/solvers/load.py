"""`load('newton')`: a method's module by its name."""

import importlib
import pkgutil
from types import ModuleType

from tf_logreg.solvers import methods


def known() -> list[str]:
    """The names that `load` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(methods.__path__))


def load(name: str) -> ModuleType:
    """The module of a method, with `init(fns, w) -> State` and `step(fns, state) -> State`."""
    return importlib.import_module(f"{methods.__name__}.{name}")
