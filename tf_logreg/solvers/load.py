"""`load('newton')`: a method's module by its name.

To add a method, put a file in `solvers/methods/` and its name in the layout of docs/design.md. The file's
name is what `solver.name` takes; it is found there, and no list of methods is to be changed. It has

    init(fns, w) -> State, step(fns, state) -> State    over `core.Functions` and `core.State`
    TAKES_L1        whether it gives the optimum of a problem with l1
    USES_HESSIAN    whether it asks for the Hessian or for products with it
"""

import importlib
import pkgutil
from types import ModuleType

from tf_logreg.solvers import methods


def known() -> list[str]:
    """The names that `load` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(methods.__path__))


def load(name: str) -> ModuleType:
    """The module of a method, which has what the head of this file lists."""
    return importlib.import_module(f"{methods.__name__}.{name}")


def taking_l1() -> list[str]:
    """Names of the methods that take l1."""
    return [name for name in known() if load(name).TAKES_L1]
