"""A process that has TensorFlow and none of our code, as a server has: scripts run in it one after another."""

import json
import subprocess
import sys

# Its imports take most of the time of such a test, so all of them share one.
SERVER = """
import contextlib, io, json, sys, traceback
for line in sys.stdin:
    script, folder = json.loads(line)
    sys.argv, out, error = ["-c", folder], io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(out):
            exec(script, {"__name__": "__main__"})
    except BaseException:
        error = traceback.format_exc()
    ours = [name for name in sys.modules if name.startswith("tf_logreg")]
    print(json.dumps([out.getvalue(), error, ours]), flush=True)
"""


class TensorFlowAlone:
    """Runs scripts in a process of its own, which starts with the first of them."""

    def __init__(self):
        self._process = None

    def run(self, script: str, folder: str) -> str:
        """What a script prints, whose argument is `folder`; an AssertionError if it fails or imports our code."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SERVER], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        print(json.dumps([script, folder]), file=self._process.stdin, flush=True)
        out, error, ours = json.loads(self._process.stdout.readline())
        assert (error, ours) == ("", [])
        return out

    def end(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.communicate(timeout=60)
