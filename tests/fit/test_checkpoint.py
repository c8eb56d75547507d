"""Checkpoints: whole or not there, checked when read, and a resumed run that cannot be told from an unbroken one."""

import contextlib
import logging
import os

import numpy as np
import pytest

from tf_logreg import storage, training
from tf_logreg.devices import interrupt
from tf_logreg.errors import InputError, InterruptError
from tf_logreg.fit.checkpoint import Checkpoints

STATE = {"weights/0": np.arange(6.0).reshape(2, 3), "history": np.zeros((0, 2))}


def folder(tmp_path, keep=2, **fingerprint):
    return Checkpoints(
        storage.Folder(str(tmp_path / "checkpoints")),
        {"config": {"l2": 0.1}} | fingerprint,
        every_steps=1,
        keep=keep,
    )


def test_round_trip_and_keep(tmp_path):
    checkpoints = folder(tmp_path)
    assert checkpoints.latest() is None
    for step in (5, 10, 15):
        checkpoints.save(step, STATE)
    step, arrays = checkpoints.latest()
    assert step == 15
    np.testing.assert_array_equal(arrays["weights/0"], STATE["weights/0"])
    assert checkpoints.folder.names() == ["step-000000000010", "step-000000000015"]


@pytest.mark.parametrize("place", [0, 40, 100, 500, -1])
def test_a_flipped_byte_is_passed_over_with_a_warning(tmp_path, caplog, place):
    checkpoints = folder(tmp_path)
    checkpoints.save(5, STATE)
    checkpoints.save(10, STATE)
    path = tmp_path / "checkpoints" / "step-000000000010"
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.latest()[0] == 5
    assert "step-000000000010" in caplog.text


@pytest.mark.parametrize("size", [0, 10, 97, 98, 300])
def test_a_cut_file_is_passed_over(tmp_path, size):
    checkpoints = folder(tmp_path)
    checkpoints.save(5, STATE)
    path = tmp_path / "checkpoints" / "step-000000000005"
    path.write_bytes(path.read_bytes()[:size])
    assert checkpoints.latest() is None


def test_another_runs_checkpoint_is_refused(tmp_path):
    folder(tmp_path, shape=[3, 2]).save(5, STATE)
    for changed in ({"config": {"l2": 0.2}}, {"shape": [4, 2]}, {"TensorFlow major version": "3"}):
        with pytest.raises(InputError, match=f"another {next(iter(changed))}"):
            folder(tmp_path, **changed).latest()


def test_a_full_disk_leaves_earlier_checkpoints(tmp_path, monkeypatch):
    checkpoints = folder(tmp_path)
    checkpoints.save(5, STATE)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write '.*step-000000000010'.*No space left"):
        checkpoints.save(10, STATE)
    assert checkpoints.latest()[0] == 5


class StopAfter:
    """Stands in for signals: says stop when it has been asked so many times."""

    def __init__(self, asked):
        self.asked = asked

    def __call__(self):
        self.asked -= 1
        return self.asked < 0


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("kind", ["one_device", pytest.param("mirrored", marks=pytest.mark.long)])
@pytest.mark.parametrize("optimizer", ["Adam", pytest.param("Ftrl", marks=pytest.mark.long)])
def test_an_interrupted_run_resumes_bit_for_bit(
    small_config, strategies, tmp_path, monkeypatch, kind, optimizer, resident
):
    small_config.minibatch.update(optimizer=optimizer, epochs=6, batch_size=32, steps_per_loop=5)
    small_config.data.validation_fraction = 0.2
    small_config.minibatch.early_stopping.metric = "log_loss"
    small_config.l1 = 1e-3
    options = dict(strategy=strategies[kind], device_memory_fraction=0.5 if resident else 0.0)
    whole = training.train_and_evaluate(small_config, str(tmp_path / "whole"), **options)
    broken = str(tmp_path / "broken")
    for asked in (2, 0, 3):
        with monkeypatch.context() as patch, pytest.raises(InterruptError, match="the same command resumes"):
            patch.setattr(interrupt, "listen", lambda asked=asked: contextlib.nullcontext(StopAfter(asked)))
            training.train_and_evaluate(small_config, broken, **options)
    resumed = training.train_and_evaluate(small_config, broken, **options)
    for name in ("iterations", "objective", "metrics", "status"):
        assert resumed[name] == whole[name]
    with (
        np.load(tmp_path / "whole" / "coefficients.npz") as one,
        np.load(f"{broken}/coefficients.npz") as other,
    ):
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_an_interrupted_run_says_that_overwrite_would_begin_again(small_config, tmp_path, monkeypatch):
    workdir = str(tmp_path / "run")
    monkeypatch.setattr(interrupt, "listen", lambda: contextlib.nullcontext(StopAfter(0)))
    for overwrite in (False, True):
        with pytest.raises(InterruptError) as found:
            training.train_and_evaluate(small_config, workdir, overwrite=overwrite)
        assert ("Leave --overwrite out: it would begin again." in str(found.value)) == overwrite


def test_a_read_only_work_directory_is_named(small_config, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "makedirs", refuse)
    with pytest.raises(InputError, match=r"cannot write.*Permission denied"):
        training.train_and_evaluate(small_config, str(tmp_path / "run"))
