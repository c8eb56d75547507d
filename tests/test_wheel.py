"""The wheel alone, in an environment of its own: the first command gets as far as the network."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv-wheel" / "bin" / "python"
pytestmark = pytest.mark.wheel

# TFDS asks for a file ten times and waits longer each time, minutes in all.
WITHOUT_WAITING = """
import urllib3
urllib3.Retry.get_backoff_time = lambda self: 0.0
from tf_logreg import cli
cli.main()
"""


def run(folder, *flags):
    """The command in `folder`, so that nothing of the checkout is in reach, and without a network."""
    absent = "http://127.0.0.1:9"  # the port that discards: nobody listens
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HTTP_PROXY": absent,
        "HTTPS_PROXY": absent,
    }
    return subprocess.run(
        [str(PYTHON), "-c", WITHOUT_WAITING, *flags],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_mnist_goes_on_to_the_network(tmp_path):
    done = run(tmp_path, "--config=mnist", "--workdir=run")
    assert done.returncode == 2
    # TFDS fetches four files at once; the others' threads may still report their own failures after our line.
    said = "data.args.name: TFDS could not download and prepare 'mnist': "
    [message] = [line for line in done.stderr.splitlines() if line.startswith(said)]
    assert "storage.googleapis.com" in message, message
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("config", ["digits", "breast_cancer", "synthetic"])
def test_a_shipped_config_runs(tmp_path, config):
    done = run(tmp_path, f"--config={config}", "--workdir=run", "--config.evaluate.max_rows=1000")
    assert done.returncode == 0, done.stderr
    assert "Everything is in run" in done.stdout
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"result.json", "model.keras", "export"}
