"""SIGINT, SIGTERM and SIGHUP until a program is done: exit code 3, nothing half, the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import prepared
import pytest

from tf_logreg import signals

ROOT = Path(__file__).parents[1]


def heed_sighup():
    """The tests themselves may have been started by nohup, which programs under test would inherit."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(script, *arguments, preexec_fn=heed_sighup, **options):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, text=True, preexec_fn=preexec_fn,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, **options,
    )  # fmt: skip


def program(body):
    """A program of a moment that hears signals and says when it is under way."""
    return f"import os, signal, sys, time\nfrom tf_logreg import signals\nsignals.hear()\n{body}"


OUTSIDE = 'print("ready", flush=True); time.sleep(30)'
INSIDE = """
with signals.noted() as asked:
    print("ready", flush=True)
    while not asked.is_set():
        time.sleep(0.01)
    print("heard", flush=True)
    time.sleep(float(sys.argv[1]))
    print("saved", flush=True)
print("on and on", flush=True)
time.sleep(30)
"""
ANSWERED = """
with signals.noted() as asked:
    print("ready", flush=True)
    while not asked():
        time.sleep(0.01)
sys.exit(7)
"""
# The main thread takes no signals and comes back from its call for none.
DEEP = """
import ctypes
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ready", flush=True)
ctypes.CDLL(None).sleep(30)
"""


def after_ready(script, *numbers, arguments=(), **options):
    """Exit code, output and errors of a program that was sent some signals, each after a line of its own."""
    process = start(program(script), *arguments, **options)
    said = ""
    for number in numbers:
        said += process.stdout.readline()
        process.send_signal(number)
    out, err = process.communicate(timeout=20)
    return process.returncode, said + out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_with_3(number):
    code, _, err = after_ready(OUTSIDE, number)
    assert code == 3
    assert err == f"Interrupted by {number.name}: what is saved is whole; the same command goes on.\n"


# A signal that comes as soon as it no longer ends the program by itself.
AT_ONCE = """
import os, signal, time
install = signal.signal

def and_send(number, handler):
    install(number, handler)
    if number == signal.SIGTERM:
        os.kill(os.getpid(), number)

signal.signal = and_send
from tf_logreg import signals
signals.hear()
time.sleep(30)
"""


def test_a_signal_that_comes_while_signals_begin_to_be_heard():
    process = start(AT_ONCE)
    assert "Interrupted by SIGTERM" in process.communicate(timeout=20)[1]
    assert process.returncode == 3


def test_also_within_an_operation_that_python_cannot_break():
    assert after_ready(DEEP, signal.SIGINT)[0] == 3


def test_what_is_under_way_is_done_first():
    code, out, err = after_ready(INSIDE, signal.SIGTERM, arguments=(0,))
    assert code == 3
    assert out == "ready\nheard\nsaved\n"
    assert "Traceback" not in err


def test_a_second_interrupt_ends_at_once_and_a_second_sigterm_does_not():
    code, out, err = after_ready(INSIDE, signal.SIGINT, signal.SIGINT, arguments=(30,))
    assert code == 130
    assert out == "ready\nheard\n"
    assert "Traceback" not in err
    assert after_ready(INSIDE, signal.SIGTERM, signal.SIGTERM, arguments=(0.2,))[:2] == (
        3,
        "ready\nheard\nsaved\n",
    )


def test_who_asks_decides_what_comes_of_it():
    assert after_ready(ANSWERED, signal.SIGINT)[0] == 7


def test_a_signal_that_the_program_was_told_to_ignore_stays_ignored():
    """As nohup does it."""
    process = start(
        program("print('ready', flush=True); time.sleep(0.5); print('done')"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=20)[0] == "done\n"
    assert process.returncode == 0


def test_in_a_users_own_program_his_handlers_come_back_and_hear_what_nobody_asked_about():
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("his"))
    try:
        with signals.noted() as asked:
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked()
        assert came == []
        with signals.noted():
            os.kill(os.getpid(), signal.SIGTERM)
            assert came == []
        assert came == ["his"]
        with pytest.raises(KeyboardInterrupt), signals.noted():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


# The command line itself.

JOB = (
    "--config=synthetic", "--config.data.args.num_rows=2000", "--config.minibatch.batch_size=20",
    "--config.minibatch.epochs=30", "--config.minibatch.steps_per_loop=50", "--config.checkpoint.every_steps=500",
    "--noreport",
)  # fmt: skip

# Sends itself the signals argv[2], each at the stage argv[1] (of the second, some 0.2 s later).
AT_STAGE = """
import importlib.abc, os, sys, threading, time
stage, numbers = sys.argv.pop(1), [int(number) for number in sys.argv.pop(1).split(",")]

def send():
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0.2)

class Import(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "tensorflow":
            send()
            time.sleep(5)

def at(owner, function, wait):
    real = getattr(owner, function)
    def call(*args, **kwargs):
        setattr(owner, function, real)
        send()
        time.sleep(wait)
        return real(*args, **kwargs)
    setattr(owner, function, call)

from tf_logreg import __main__ as program
from tf_logreg import signals
if stage == "import":
    sys.meta_path.insert(0, Import())
else:
    signals.hear()
    from tf_logreg.data import dataset
    from tf_logreg.export import saved_model
    from tf_logreg.fit import checkpoint
    from tf_logreg.fit.minibatch import loop
    from tf_logreg.results import measurement
    owner, function, wait = {
        "data": (dataset, "read_data", 5),
        "fit": (loop.Length, "next_look", 0),
        "checkpoint": (checkpoint.storage, "save_arrays", 0.5),
        "evaluate": (measurement, "evaluate_model", 5),
        "save": (saved_model, "save", 0.5),
    }[stage]
    at(owner, function, wait)
program.main()
"""


def at_stage(stage, *numbers, workdir):
    given = (stage, ",".join(str(int(number)) for number in numbers), f"--workdir={workdir}", *JOB)
    process = start(AT_STAGE, *given) if stage == "import" else prepared.Process(["-c", AT_STAGE, *given])
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def kernel_of(workdir):
    """The coefficients of the same command, gone on to its end."""
    process = prepared.Process(["run.py", f"--workdir={workdir}", *JOB])
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    with np.load(workdir / "coefficients.npz") as arrays:
        return arrays["kernel"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_tensorflow_is_imported(tmp_path, number):
    began = time.monotonic()
    code, out, err = at_stage("import", number, workdir=tmp_path / "run")
    assert code == 3
    assert out == ""
    assert err.splitlines() == [
        f"Interrupted by {number.name}: what is saved is whole; the same command goes on."
    ]
    assert time.monotonic() - began < 60
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return kernel_of(tmp_path_factory.mktemp("unbroken") / "run")


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", ["data", "fit", "checkpoint", "evaluate", "save"])
def test_at_each_stage_of_a_run(tmp_path, unbroken, stage, number):
    workdir = tmp_path / "run"
    code, out, err = at_stage(stage, number, workdir=workdir)
    assert code == 3, err
    assert out == ""
    assert "the same command" in err
    assert "Traceback" not in err
    assert workdir.exists() == (stage != "data")
    assert not list(workdir.rglob(".writing-*"))
    assert not (workdir / "result.json").exists()
    np.testing.assert_array_equal(kernel_of(workdir), unbroken)


@pytest.mark.long
@pytest.mark.parametrize("stage", ["fit", "checkpoint", "save"])
def test_a_second_interrupt_at_once(tmp_path, unbroken, stage):
    workdir = tmp_path / "run"
    code, _, err = at_stage(stage, signal.SIGINT, signal.SIGINT, workdir=workdir)
    assert code == 130, err
    assert "Traceback" not in err
    np.testing.assert_array_equal(kernel_of(workdir), unbroken)
    assert not list(workdir.rglob(".writing-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_is_ending_ends_as_it_was_about_to(number):
    """What Python itself does at the end takes a while: to delete an object is slow here."""
    slow = """
class Slow:
    def __del__(self, write=os.write, sleep=time.sleep):
        write(1, b"ready\\n")
        sleep(1)
slow = Slow()
sys.exit(4)
"""
    process = start(program(slow))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 4


def test_a_command_that_is_done_ends_with_its_code_while_handlers_of_the_end_run():
    slow = """
def at_the_end():
    os.write(1, b"ready\\n")
    time.sleep(1)  # while the signal comes
atexit.register(at_the_end)  # after `hear`, so that it runs before the handler of ours
sys.argv = ["run.py"]  # no config: exit code 2
cli.main()
"""
    process = start("import atexit\nfrom tf_logreg import cli\n" + program(slow))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 2
