"""Runs the installed scikit-learn's own test_logistic.py with our classes in place of its own.

    python tests/scikit_learn/run_test_logistic.py [arguments of pytest]

Their file runs as it is installed; only names that it imports are others. The two classes are ours; what
asks for liblinear, to compare with, gets scikit-learn's. Tests that do not apply stand in inapplicable.py
with their reasons. Exit code 1 where a test fails, fewer than two thirds run, or a reason fits no test.
"""

import collections
import importlib.util
import inspect
import os
import re
import sys
from pathlib import Path

os.environ["SCIPY_ARRAY_API"] = "1"  # their tests of NumPy arrays through the array API run too

import pytest
import sklearn.linear_model
from inapplicable import INAPPLICABLE

import tf_logreg

_THEIRS = sklearn.linear_model.LogisticRegression


class LogisticRegression(tf_logreg.LogisticRegression):
    """Ours; scikit-learn's own for liblinear, which their tests compare others with."""

    def __new__(cls, *arguments, solver="auto", **parameters):
        if solver == "liblinear":
            return _THEIRS(*arguments, solver=solver, **parameters)
        return super().__new__(cls)


def taking_ours(function):
    """A function of scikit-learn that takes a class's parameters, ours: it knows some, and `tol` is its gradient's."""
    known = inspect.signature(function).parameters

    def call(*arguments, **named):
        return function(
            *arguments, **{name: value for name, value in named.items() if name in known} | {"tol": 1e-9}
        )

    return call


class Plugin:
    """Leaves out what does not apply and counts the rest."""

    def __init__(self):
        self.left_out = {}
        self.outcomes = collections.Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        """Takes away the tests of INAPPLICABLE; replaces the function that takes a class's parameters."""
        module = items[0].module
        module._log_reg_scoring_path = taking_ours(module._log_reg_scoring_path)
        for item in items:
            for pattern, reason in INAPPLICABLE.items():
                if re.fullmatch(pattern, item.name):
                    self.left_out[item.name] = pattern, reason
                    break
        config.hook.pytest_deselected(items=[item for item in items if item.name in self.left_out])
        items[:] = [item for item in items if item.name not in self.left_out]

    def pytest_runtest_logreport(self, report):
        """Counts a test once: where it was called, or where it went wrong or was skipped before."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1


def main(arguments: list[str]) -> int:
    """Runs and reports; returns the exit code."""
    path = Path(importlib.util.find_spec("sklearn.linear_model").origin).parent / "tests" / "test_logistic.py"
    if not path.exists():
        print(f"scikit-learn {sklearn.__version__} is installed without its tests: there is no {path}")
        return 1
    sklearn.linear_model.LogisticRegression = LogisticRegression
    sklearn.linear_model.LogisticRegressionCV = tf_logreg.LogisticRegressionCV
    plugin = Plugin()
    # Their own settings, not ours: no configuration file, no cache in the package.
    options = ["-c", os.devnull, "-p", "no:cacheprovider", "-q", "--disable-warnings", *arguments]
    code = pytest.main([*options, str(path)], plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return int(code)
    return report(plugin)


def report(plugin: Plugin) -> int:
    """Prints what ran and what did not; returns the exit code."""
    passed, failed = plugin.outcomes["passed"], plugin.outcomes["failed"]
    ran, absent = passed + failed, len(plugin.left_out)
    print(
        f"\nscikit-learn {sklearn.__version__}, test_logistic.py with our classes: {ran} ran, {passed} passed, "
        f"{failed} failed; {absent} do not apply; {plugin.outcomes['skipped']} that scikit-learn itself skips here."
    )
    for reason, count in collections.Counter(reason for _, reason in plugin.left_out.values()).most_common():
        names = sorted({name.split("[")[0] for name, (_, why) in plugin.left_out.items() if why == reason})
        print(f"  {count} {reason}: {', '.join(names)}")
    share = ran / (ran + absent)
    print(f"{share:.1%} of what scikit-learn itself runs here ran.")
    unused = sorted(set(INAPPLICABLE) - {pattern for pattern, _ in plugin.left_out.values()})
    if unused:
        print(f"Reasons that fit no test: {unused}")
    return int(bool(failed or unused or share < 2 / 3))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
