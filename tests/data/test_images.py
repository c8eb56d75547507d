"""Images of any size, decoded once: in memory or kept on the disk, gone on with after a kill; bad ones are named."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import tfds_sets

from tf_logreg.data import images, kept_rows
from tf_logreg.data.load import load
from tf_logreg.errors import InputError

SIZE = (10, 8)


def everything(source):
    """X and y of all rows."""
    batch = source.host(np.arange(sum(map(len, source.splits.values()))))
    return batch.x, batch.y


def test_images_of_any_size_are_brought_to_one(photographs):
    source = load("tfds", folder=photographs, resize=SIZE)
    assert source.splits == {"train": range(40), "validation": range(40, 52)}
    assert source.class_names == ("0", "1")
    assert source.place(43) == "row 3 of split 'validation' of photographs/1.0.0"
    builder = tfds.builder_from_directory(photographs)
    raw = [row for split in ("train", "validation") for row in builder.as_dataset(split=split)]
    assert len({row["image"].shape for row in raw}) > 20
    expected = [tf.round(tf.image.resize(row["image"], SIZE, antialias=True)) for row in raw]
    x, y = everything(source)
    np.testing.assert_array_equal(np.rint(x * 255), np.reshape(expected, (52, -1)))
    np.testing.assert_array_equal(y, [row["label"] for row in raw])


def test_some_splits(photographs):
    source = load("tfds", folder=photographs, resize=SIZE, splits=("validation",))
    assert source.splits == {"validation": range(12)}


def prepared(tmp_path, **attributes):
    class Photographs(tfds_sets.Photographs, skip_registration=True):
        __module__ = "tfds_sets"

    for name, value in attributes.items():
        setattr(Photographs, name, value)
    return tfds_sets.prepare(Photographs, tmp_path / "set")


def half_an_image():
    return tf.io.encode_jpeg(np.full((50, 50, 3), np.arange(50, dtype=np.uint8)[:, None, None])).numpy()[:700]


@pytest.mark.parametrize("share", [0, 1])
def test_images_that_cannot_be_decoded(tmp_path, on_disk, monkeypatch, caplog, share):
    monkeypatch.setattr(kept_rows, "SHARE", share)
    folder = prepared(tmp_path, broken={3: b"no image", 17: half_an_image(), 18: b""})
    given = {"folder": folder, "resize": SIZE, "cache_dir": str(tmp_path / "cache")}
    bad = r"Received: an image that cannot be decoded \(Unknown image file format.*\): row 3 of split 'train' of photographs/1.0.0\. data.args.on_bad_lines='skip'"
    with pytest.raises(InputError, match=bad) as error:
        load("tfds", **given)
    assert "\n" not in str(error.value)
    caplog.clear()
    source = load("tfds", **given, on_bad_lines="warn")
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage().startswith(
        "3 rows that cannot be read were left out: row 3 of split 'train' of"
    )
    assert source.splits == {"train": range(37), "validation": range(37, 49)}
    rows = [0, 2, 3, 15, 16, 36]
    assert [int(source.place(row).split()[1]) for row in rows] == [0, 2, 4, 16, 19, 39]
    x, y = everything(source)
    whole = everything(
        load("tfds", folder=prepared(tmp_path / "whole"), resize=SIZE, cache_dir=str(tmp_path / "other"))
    )
    good = np.delete(np.arange(52), [3, 17, 18])
    np.testing.assert_array_equal(x, whole[0][good])
    np.testing.assert_array_equal(y, whole[1][good])
    caplog.clear()
    load("tfds", **given, on_bad_lines="skip")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    with pytest.raises(InputError, match=bad):
        load("tfds", **given)  # also where an earlier run left them out


def test_images_of_another_size_than_the_set_declares(tmp_path):
    class Declared(tfds_sets.TinyDigits):
        __module__ = "tfds_sets"

        def _generate_examples(self, start, stop):
            image = tf.io.encode_png(np.zeros((9, 9, 1), np.uint8)).numpy()
            yield from ((i, {"image": image, "label": 0}) for i in range(2))

    with pytest.raises(
        InputError, match=r"an image .* \(its shape is \[9,9,1\], not \[8,8,1\]\): row 0 of split"
    ):
        load("tfds", folder=tfds_sets.prepare(Declared, tmp_path))


def test_no_image_that_can_be_decoded(tmp_path):
    folder = prepared(tmp_path, sizes={"train": 2}, broken={0: b"a", 1: b"b"})
    with pytest.raises(InputError, match="Received: none of 2 of photographs"):
        load("tfds", folder=folder, resize=SIZE, on_bad_lines="skip")


def test_splits_without_labels(tmp_path):
    sizes = {"train": 8, "test": 4}
    folder = prepared(tmp_path, sizes=sizes, unlabelled=("test",))
    with pytest.raises(
        InputError, match=r"y: expected 0..1, .* -1 in row 0 of split 'test' of .*splits=\('train',\)"
    ):
        load("tfds", folder=folder, resize=SIZE)
    assert len(load("tfds", folder=folder, resize=SIZE, splits=("train",)).splits["train"]) == 8


BAD = {
    "images of any size": ({}, r"data.args.resize: expected \(height, width\), .*photographs"),
    "one side": ({"resize": (8,)}, r"expected \(height, width\), whole numbers > 0, or \(\). Received: \(8,\)"),
    "no numbers": ({"resize": ("8", 8)}, r"Received: \('8', 8\)"),
    "nothing of them": ({"resize": (0, 8)}, r"Received: \(0, 8\)"),
    "unknown splits": ({"resize": SIZE, "splits": ("dev",)}, r"data.args.splits: expected some of train, validation"),
    "a split twice": ({"resize": SIZE, "splits": ("train", "train")}, "each once"),
    "bad lines": ({"resize": SIZE, "on_bad_lines": "drop"}, "data.args.on_bad_lines: expected 'error', 'skip' or 'warn'"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_arguments(photographs, arguments, message):
    with pytest.raises(InputError, match=message):
        load("tfds", folder=photographs, **arguments)


class Embeddings(tfds_sets.TinyDigits):
    """Numbers that are no images."""

    __module__ = "tfds_sets"

    def _info(self):
        features = {
            "x": tfds.features.Tensor(shape=(3,), dtype=np.float32),
            "y": tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("x", "y"),
            disable_shuffling=True,
        )

    def _generate_examples(self, start, stop):
        for i in range(6):
            yield i, {"x": np.full(3, i + 0.5, np.float32), "y": i % 2}


def test_rows_that_are_no_images(tmp_path, on_disk):
    folder = tfds_sets.prepare(Embeddings, tmp_path / "set")
    with pytest.raises(
        InputError, match=r"data.args.resize: expected \(\) with features that are no images of bytes"
    ):
        load("tfds", folder=folder, resize=SIZE)
    source = load("tfds", folder=folder, cache_dir=str(tmp_path / "cache"))
    np.testing.assert_array_equal(source.host(np.arange(6)).x, np.repeat(np.arange(6) + 0.5, 3).reshape(6, 3))
    record = next(path for path in (tmp_path / "set").rglob("*tfrecord*") if "train" in path.name)
    record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"data.args: cannot read row \d of split 'train' of embeddings"):
        load("tfds", folder=folder, cache_dir=str(tmp_path / "other"))


def test_the_command_line_takes_sizes_and_splits(photographs, tmp_path, command):
    code, _, err = command(
        "--config=imagenet",
        "--config.data.args.name=",
        f"--config.data.args.folder={photographs}",
        "--config.data.args.resize=(6, 6)",
        "--config.data.args.splits=('train', 'validation')",
        f"--config.data.cache_dir={tmp_path}",
        "--config.minibatch.epochs=1",
        f"--workdir={tmp_path}/run",
    )
    assert code == 0, err
    code, out, err = command("--mode=evaluate", f"--workdir={tmp_path}/run")
    assert code == 0, err
    assert "test" in out


def test_many_decoders_in_one_process_are_no_cause_for_a_warning(caplog):
    record = tf.io.encode_png(np.zeros((4, 5, 3), np.uint8)).numpy()
    for height in range(2, 12):
        found, bad = images.decoder((height, 3, 3), resize=True)([record])
        assert found.shape == (1, height, 3, 3)
        assert not bad
    assert not caplog.records
