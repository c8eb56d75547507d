"""What TensorFlow, Keras and the caller have set up before us: refused in one line, before anything is written."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tf_logreg import training
from tf_logreg.errors import InputError
from tf_logreg.modes import evaluate, export

ROOT = Path(__file__).parents[1]


def ended(*command, **environ):
    found = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, text=True, capture_output=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environ},
    )  # fmt: skip
    return found.returncode, found.stdout, found.stderr


@pytest.mark.parametrize("how", [("run.py",), ("-m", "tf_logreg")])
def test_another_keras_backend_on_the_command_line(tmp_path, how):
    code, out, err = ended(*how, "--config=iris", f"--workdir={tmp_path}/run", KERAS_BACKEND="jax")
    assert code == 2
    assert out == ""
    assert err == (
        "tf_logreg trains under tf.distribute: KERAS_BACKEND must be 'tensorflow'. Received: KERAS_BACKEND='jax'.\n"
    )
    assert not (tmp_path / "run").exists()


def test_another_keras_backend_from_python():
    script = "try:\n    import tf_logreg.training\nexcept ImportError as error:\n    print(error)"
    code, out, err = ended("-c", script, KERAS_BACKEND="jax")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "tf_logreg trains under tf.distribute: KERAS_BACKEND must be 'tensorflow'. Received: KERAS_BACKEND='jax'."
    ]
    # Keras before us, on a backend that its own file names.
    before = "import sys, types\nkeras = sys.modules['keras'] = types.ModuleType('keras')\n"
    before += "keras.config = types.SimpleNamespace(backend=lambda: 'torch')\n"
    code, out, err = ended("-c", before + script)
    assert (code, err) == (0, "")
    assert "Keras imported before with the backend 'torch'" in out


def calls(config, workdir, strategy):
    return (
        lambda: training.train_and_evaluate(config, workdir, strategy=strategy),
        lambda: evaluate.evaluate_run(workdir, strategy=strategy),
        lambda: export.export_run(workdir),
    )


def test_inside_another_strategys_scope(small_config, strategies, tmp_path):
    for call in calls(small_config, str(tmp_path / "run"), strategies["one_device"]):
        with (
            strategies["mirrored"].scope(),
            pytest.raises(InputError, match="another strategy"),
        ):
            call()
    assert not (tmp_path / "run").exists()
    with strategies["one_device"].scope():
        training.train_and_evaluate(small_config, str(tmp_path / "run"), strategy=strategies["one_device"])


def test_inside_a_graph(small_config, strategies, tmp_path):
    for call in calls(small_config, str(tmp_path / "run"), strategies["one_device"]):
        with tf.Graph().as_default(), pytest.raises(InputError, match="expected eager execution"):
            call()
        with pytest.raises(InputError, match="expected eager execution"):
            tf.function(call, autograph=False)()
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_after_eager_execution_was_switched_off(tmp_path):
    script = (
        "import sys, tensorflow as tf\ntf.compat.v1.disable_eager_execution()\n"
        "from tf_logreg import config, errors, training\n"
        "try:\n    training.train_and_evaluate(config.load('iris'), sys.argv[1])\n"
        "except errors.InputError as error:\n    print(error)"
    )
    code, out, err = ended("-c", script, tmp_path / "run")
    assert code == 0, err
    assert out.startswith("TensorFlow: expected eager execution.")
    assert len(out.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def tpu(tmp_path, address):
    return ended(
        "run.py", "--config=iris", f"--workdir={tmp_path}/run", "--distribution_strategy=tpu", f"--tpu={address}",
        "--startup_timeout=3",
    )  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        "accepts and is silent",
        *(pytest.param(kind, marks=pytest.mark.long) for kind in ("refused", "unreachable")),
    ],
)
def test_a_tpu_that_nobody_answers_for(tmp_path, kind):
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        if kind == "accepts and is silent":
            silent.listen()
        host = "10.255.255.1" if kind == "unreachable" else "localhost"
        code, out, err = tpu(tmp_path, f"grpc://{host}:{silent.getsockname()[1]}")
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    expected = "found no TPU" if kind == "refused" else "did not answer within --startup_timeout=3 s"
    assert expected in err or (
        kind == "unreachable" and "found no TPU" in err
    )  # some networks say so at once
    assert not (tmp_path / "run").exists()
