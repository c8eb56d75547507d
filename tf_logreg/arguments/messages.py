"""Messages of errors and warnings, with an estimator's parameters in place of fields and flags."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from tf_logreg.errors import InputError, InterruptError, RunError

# What a config or a command line calls it -> what an estimator does; the longer before its part.
_NAMES = {
    "solver.max_passes and solver.max_steps": "max_iter",
    "solver.time_limit": "time_limit",
    ", or --overwrite to delete it": ", or delete it",
    "or --overwrite to start again": "or delete it to start again",
    "Give --overwrite to start again": "Delete it to start again",
    "Give --overwrite to fit them as they are now, or another directory.": "Give another directory.",
    "the same command": "the same call of fit",
    "--overwrite all": "an empty directory all",
    "--workdir": "workdir",
    ", or solver.name='minibatch'": "",
    "solver.name": "solver",
    "solver.tol": "tol",
    "--dtype=float64": "dtype='float64'",
    "--distribution_strategy": "strategy",
    "add some l2": "lower C",
    "model.output": "output",
    "data.offset": "offset",
    "path.penalty: expected a penalty_factor > 0": "penalty_factor: expected a number > 0",
    "path.num, path.values": "Cs",
    "path.values": "Cs",
    "path.C": "Cs",
    "cv.folds": "cv",
    ", or (). Received": ". Received",
}

# solver -> how scikit-learn's warning begins when max_iter is reached.
_BEGINNINGS = {
    "lbfgs": "lbfgs failed to converge after {} iteration(s). Increase the number of iterations: ",
    "newton-cg": "newton-cg failed to converge. Increase the number of iterations: ",
    "newton-cholesky": "Newton solver did not converge after {} iterations: ",
    "sag": "The max_iter was reached which means the coef_ did not converge: ",
    "saga": "The max_iter was reached which means the coef_ did not converge: ",
}


def beginning(estimator: Any, steps: int) -> str:
    """How the warning begins after max_iter steps: as scikit-learn's, for those who filter by that."""
    return _BEGINNINGS.get(estimator.solver, "").format(steps) if steps >= estimator.max_iter else ""


def in_our_words(message: str) -> str:
    """A message with the estimator's names."""
    for field, ours in _NAMES.items():
        message = message.replace(field, ours)
    return message


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors that come from within have the estimator's names; a decorator of `fit`."""
    try:
        yield
    except (InputError, RunError, InterruptError) as error:
        raise type(error)(in_our_words(str(error))).with_traceback(error.__traceback__) from error.__cause__


def warn(message: str) -> None:
    """A ConvergenceWarning: how a fit ended, with the gap and the remedy.

    Called by a `fit` that is decorated with `translated`; it is shown at the line that calls that.
    """
    warnings.warn(in_our_words(message), ConvergenceWarning, stacklevel=4)
