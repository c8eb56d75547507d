"""scikit-learn's own tests of its logistic regression, with our classes in place of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn
from packaging.version import Version

SCRIPT = Path(__file__).parent / "run_test_logistic.py"


@pytest.mark.long
def test_their_tests_pass_with_our_classes():
    """In a process of its own: it changes what `sklearn.linear_model` holds."""
    assert Version(sklearn.__version__) >= Version("1.9"), "inapplicable.py lists the tests of 1.9"
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    ran, passed, failed = map(int, re.search(r"(\d+) ran, (\d+) passed, (\d+) failed", done.stdout).groups())
    assert ran == passed > 150
    assert failed == 0
