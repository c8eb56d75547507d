"""The program starts fast: what needs no TensorFlow is answered before it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What takes long to import, and has no part in answering `--help` or a misspelt flag.
HEAVY = ("tensorflow", "keras", "sklearn", "scipy", "matplotlib", "tensorflow_datasets", "tensorboard")

# Says on its last line which of them were imported.
AND_TELL = f"""
import sys
try:
    {{}}
finally:
    print("imported:", [name for name in {HEAVY} if name in sys.modules])
"""


def fresh(script, *arguments):
    """Exit code, output and errors of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, text=True, capture_output=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def program(*arguments):
    """The program's exit code, what it printed, its errors, and what it imported."""
    code, out, err = fresh(AND_TELL.format("from tf_logreg.__main__ import main; main()"), *arguments)
    *said, imported = out.splitlines()
    return code, said, err, imported


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_needs_no_tensorflow(flag):
    code, out, err, imported = program(flag)
    assert (code, err) == (0, "")
    assert "exit code" in out[0]
    assert any(line.strip().startswith("--workdir:") for line in out)
    assert imported == "imported: []"


WRONG = "from tf_logreg import config\ndef get_config():\n    found = config.get_config()\n    {}\n    return found\n"

MISTAKES = {
    "a misspelt flag": (["--colour=red"], "flags: Unknown command line flag 'colour'"),
    "an unknown mode": (["--config=digits", "--mode=fly"], "train|evaluate|export|selftest|plan"),
    "an unknown strategy": (["--config=digits", "--distribution_strategy=magic"], "off|one_device|mirrored"),
    "an unknown dtype": (["--config=digits", "--dtype=int8"], "float32|float64|bfloat16"),
    "an unknown config": (["--config=digit"], "--config: expected a file or one of breast_cancer, digits"),
    "no config": ([], "--config: expected a file or one of breast_cancer, digits"),
    "nothing to plan": (["--mode=plan"], "--config: expected a file or one of breast_cancer, digits"),
    "a version without an export": (["--config=digits", "--version=1"], "--version: expected --mode=export"),
    "an unknown field": (
        ["--config=digits", "--config.solver.nmae=x"],
        "solver.nmae: no such field. Known here: max_passes, name, tol, warm_start.",
    ),
    "a field of another type": (["--config=digits", "--config.seed=1.5"], "--config.seed=1.5"),
    "a type in a config file": ("found.model = {'bias': 1, 'output': 'auto'}", "bias"),
    "a field that a config file has lost": ("del found.minibatch['epochs']", "minibatch.epochs: missing"),
    "an unknown field in a config file": ("found.solver.nmae = 'newton'", "solver.nmae: no such field"),
}


@pytest.mark.parametrize(("given", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_answered_without_tensorflow(tmp_path, given, message):
    if isinstance(given, str):
        (tmp_path / "wrong.py").write_text(WRONG.format(given))
        given = [f"--config={tmp_path}/wrong.py"]
    code, out, err, imported = program(*given, f"--workdir={tmp_path}/run")
    assert code == 2
    assert out == []
    assert message in err
    assert len(err.splitlines()) == 1
    assert imported == "imported: []"
    assert not (tmp_path / "run").exists()


def test_all_mistakes_in_the_fields_are_told_at_once():
    code, _, err, imported = program("--config=digits", "--config.colour=red", "--config.solver.nmae=x")
    assert code == 2
    assert [line.partition(":")[0] for line in err.splitlines()] == ["colour", "solver.nmae"]
    assert imported == "imported: []"


def test_memory_that_is_gone_before_tensorflow_is_there():
    script = (
        "from absl import flags; from tf_logreg import cli, command_line_flags\n"
        "    def gone(*_): raise MemoryError\n"
        "    command_line_flags.parse = gone\n"
        "    sys.exit(cli.exit_code(['tf_logreg'], flags.FLAGS))"
    )
    code, out, err = fresh(AND_TELL.format(script))
    assert (code, out) == (2, "imported: []\n")
    assert err.startswith("memory: expected a job that fits.")


def test_the_package_imports_nothing_heavy():
    """`config`, `errors` and the package itself; a fit is what needs TensorFlow."""
    script = "import tf_logreg; from tf_logreg import config, errors; config.get_config(); config.shipped()"
    assert fresh(AND_TELL.format(script)) == (0, "imported: []\n", "")
