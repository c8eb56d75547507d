"""`load('newton')`: a method's module by its name."""

import importlib
import pkgutil
from types import ModuleType

from tf_logreg.solvers import methods


def known() -> list[str]:
    """The names that `load` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(methods.__path__))


def load(name: str) -> ModuleType:
    """The module of a method, with `init(fns, w) -> State` and `step(fns, state) -> State`.

    Its TAKES_L1 says whether it gives the optimum of a problem with l1, USES_HESSIAN whether it asks for
    the Hessian.
    """
    return importlib.import_module(f"{methods.__name__}.{name}")


def taking_l1() -> list[str]:
    """Names of the methods that take l1."""
    return [name for name in known() if load(name).TAKES_L1]
