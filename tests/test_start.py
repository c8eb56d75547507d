"""The program starts fast and quietly: TensorFlow is imported last, and its start-up lines are not shown."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What takes long to import, and has no part in answering `--help` or a misspelt flag.
HEAVY = ("tensorflow", "keras", "sklearn", "scipy", "matplotlib", "tensorflow_datasets", "tensorboard")

PROGRAM = "from tf_logreg.__main__ import main; main()"

# Says on its last line which of them were imported.
AND_TELL = f"""
import sys
try:
    {{}}
finally:
    print("imported:", [name for name in {HEAVY} if name in sys.modules])
"""


def start(script, *arguments, path=ROOT):
    """A process of its own, which finds modules in `path` before all others, and TensorFlow's own settings."""
    environ = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**environ, "PYTHONPATH": f"{path}:{ROOT}"},
    )  # fmt: skip


def fresh(script, *arguments, path=ROOT):
    """Exit code, output and errors of such a process."""
    process = start(script, *arguments, path=path)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def program(*arguments):
    """The program's exit code, what it printed, its errors, and what it imported."""
    code, out, err = fresh(AND_TELL.format(PROGRAM), *arguments)
    *said, imported = out.splitlines()
    return code, said, err, imported


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_needs_no_tensorflow(flag):
    code, out, err, imported = program(flag)
    assert (code, err) == (0, "")
    assert "exit code" in out[0]
    assert any(line.strip().startswith("--workdir:") for line in out)
    assert imported == "imported: []"


# A config file with one line of its own.
WRONG = "from tf_logreg import config\ndef get_config():\n    found = config.get_config()\n    {}\n    return found\n"

MISTAKES = {
    "a misspelt flag": (["--colour=red"], "flags: Unknown command line flag 'colour'"),
    "an unknown mode": (
        ["--config=digits", "--mode=fly"],
        "train|evaluate|compare|predict|describe|report|export|selftest|plan",
    ),
    "an unknown strategy": (["--config=digits", "--distribution_strategy=magic"], "off|one_device|mirrored"),
    "an unknown dtype": (["--config=digits", "--dtype=int8"], "float32|float64|bfloat16"),
    "an unknown config": (["--config=digit"], "--config: expected a file or one of breast_cancer, digits"),
    "no config": ([], "--config: expected a file or one of breast_cancer, digits"),
    "nothing to plan": (["--mode=plan"], "--config: expected a file or one of breast_cancer, digits"),
    "a version without an export": (["--config=digits", "--version=1"], "--version: expected --mode=export"),
    "an unknown field": (
        ["--config=digits", "--config.solver.nmae=x"],
        "solver.nmae: no such field. Known here: max_passes, max_steps, name, polish, prior, time_limit, tol, warm_start.",
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


# A run whose program warns, at its end, as TensorFlow does of functions that are traced again and again.
RUN = f"""
try:
    {PROGRAM}
finally:
    import tensorflow
    tensorflow.get_logger().warning("5 out of the last 5 calls triggered tf.function retracing.")
"""


@pytest.mark.parametrize("solver", ["minibatch", "newton"])
def test_a_run_says_nothing_of_tensorflows(tmp_path, solver):
    code, out, err = fresh(
        RUN, "--config=synthetic", f"--workdir={tmp_path}/run", "--config.data.args.num_rows=300",
        "--config.data.args.num_features=5", f"--config.solver.name={solver}", "--config.minibatch.epochs=2",
        "--config.l2=0.01",
    )  # fmt: skip
    assert code == 0, err
    assert "Everything is in" in out
    for line in err.splitlines():
        assert re.match(r"\d\d:\d\d:\d\d ", line), err


# What stands for TensorFlow below writes this to file descriptor 2, as its libraries do.
WRITTEN = "F0000 cpu_feature_guard.cc: compiled to use AVX instructions\n"


@pytest.fixture
def tensorflow(tmp_path):
    """Puts a package in TensorFlow's place that writes, and does `then`; gives the folder it is in."""

    def put(then):
        folder = tmp_path / "packages" / "tensorflow"
        folder.mkdir(parents=True)
        write = f"import os, signal, time\nos.write(2, {WRITTEN.encode()!r})\n{then}\n"
        (folder / "__init__.py").write_text(write)
        return folder.parent

    return put


def test_what_was_written_is_shown_when_the_import_fails(tensorflow, tmp_path):
    path = tensorflow("raise ImportError('libcudart.so: cannot open shared object file')")
    code, out, err = fresh(PROGRAM, "--config=iris", f"--workdir={tmp_path}/run", path=path)
    assert (code, out) == (2, "")
    assert err == (
        f"{WRITTEN}TensorFlow: expected an installation that can be imported. Received: ImportError: libcudart.so: "
        "cannot open shared object file (python -c 'import tensorflow' shows where).\n"
    )
    assert not (tmp_path / "run").exists()


def test_what_was_written_is_shown_when_the_import_ends_the_process(tensorflow, tmp_path):
    path = tensorflow("os.abort()")
    code, out, err = fresh(PROGRAM, "--config=iris", f"--workdir={tmp_path}/run", path=path)
    assert (code, out, err) == (-signal.SIGABRT, "", WRITTEN)


def test_more_than_a_pipe_holds_does_not_stop_the_import(tensorflow, tmp_path):
    path = tensorflow(f"os.write(2, {WRITTEN.encode()!r} * 10_000)\nraise ImportError('full')")
    code, _, err = fresh(PROGRAM, "--config=iris", f"--workdir={tmp_path}/run", path=path)
    assert code == 2
    assert err.count(WRITTEN) == 10_001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_import_ends_the_program_with_its_message_alone(tensorflow, tmp_path, number):
    path = tensorflow("print('importing', flush=True)\ntime.sleep(30)")
    process = start(PROGRAM, "--config=iris", f"--workdir={tmp_path}/run", path=path)
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (3, "")
    assert err == f"Interrupted by {number.name}: what is saved is whole; the same command goes on.\n"


def test_nothing_is_kept_back_from_a_users_own_program(tensorflow):
    """Its import of TensorFlow shows what it always shows."""
    script = "import tf_logreg; from tf_logreg import config; config.load('iris'); import tensorflow"
    assert fresh(script, path=tensorflow("")) == (0, "", WRITTEN)


def test_keras_is_not_made_to_import_what_only_plots_and_tables_need(tensorflow, tmp_path):
    path = tensorflow(
        "try:\n    import matplotlib\nexcept ImportError:\n    raise ImportError('no matplotlib') from None"
    )
    script = f"try:\n    {PROGRAM}\nfinally:\n    import gc, matplotlib, sklearn; print(matplotlib.__name__, gc.isenabled())"
    code, out, err = fresh(script, "--config=iris", f"--workdir={tmp_path}/run", path=path)
    assert "Received: ImportError: no matplotlib" in err
    assert (code, out) == (2, "matplotlib True\n")  # afterwards it is there, and garbage is collected
