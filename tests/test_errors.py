"""Another program's message inside ours: one line, whole words, nothing of it needed to fail again."""

import importlib.util
import sys

import pytest

from tf_logreg.errors import brief

LONG = "Could not look up the TPU's name, because\n\tthe service that knows it has not answered. " * 8


@pytest.mark.parametrize("width", [80, 200, 300])
def test_a_long_message_is_cut_between_two_words(width):
    text = brief(ValueError(LONG), width)
    kept = text.removesuffix(" ...").split()
    assert len(text) <= width
    assert text.endswith(" ...")
    assert kept == LONG.split()[: len(kept)]


@pytest.mark.parametrize("text", ["", "short", "x" * 500])
def test_what_cannot_be_cut_between_words_is_whole(text):
    assert brief(text) == text
    assert brief(f"{text} {LONG}").startswith(text)


def test_a_tpu_by_name_says_what_it_needs(command, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *args: None if name == "oauth2client" else find(name, *args)
    )
    code, _, err = command(
        "--config=iris", f"--workdir={tmp_path}/run", "--distribution_strategy=tpu", "--tpu=my-tpu"
    )
    assert code == 2
    assert "tf_logreg[tpu_name]" in err
    assert "'my-tpu'" in err
    assert not (tmp_path / "run").exists()


def test_a_broken_tfds_says_what_is_missing(command, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "tf_logreg.data.sources.tfds", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # its import fails from here on
    code, _, err = command("--config=mnist", f"--workdir={tmp_path}/run")
    assert code == 2
    assert "data.source: 'tfds' needs TensorFlow Datasets" in err
    assert "ModuleNotFoundError" in err
    assert not (tmp_path / "run").exists()
