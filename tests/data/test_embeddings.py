"""Rows behind a Keras encoder: from a file that runs no code, by name, or in Python; made once, and kept."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import worker_runs
from small_encoders import DRAW, IMAGES, SIZE, Mine, Y, config_of, convolutions, features

import tf_logreg
from tf_logreg import config as configs
from tf_logreg import training
from tf_logreg.data import applications, dataset, embeddings, encoders, kept_rows
from tf_logreg.errors import InputError
from tf_logreg.modes import evaluate


def vectors(model, images):
    return model.predict(np.asarray(images, np.float32), verbose=0)


@pytest.fixture(scope="module")
def model():
    return convolutions()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "small.keras"
    model.save(path)
    return str(path)


def test_the_features_are_what_the_encoder_says_of_each_row(tmp_path, file, model, strategies):
    config = config_of(tmp_path, file)
    source, rows = dataset.read_data(config)
    expected = vectors(model, IMAGES)
    np.testing.assert_allclose(source.host(np.arange(70)).x, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(source.read(tf.constant([3, 69])).x, source.host(np.array([3, 69])).x)
    np.testing.assert_array_equal(source.labels(np.arange(70)), Y)
    assert source.place(3) == f"row 3 of {tmp_path}/x.npy"
    assert len(rows["test"]) == 14
    for name in ("mirrored", "four"):
        shutil.rmtree(tmp_path / "cache")
        found = features(config, strategy=strategies[name])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_vectors_are_made_once(tmp_path, file, model, monkeypatch):
    config = config_of(tmp_path, file)
    first = features(config)
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.name.startswith("npy_behind_small.keras-")
    assert json.loads((folder / "rows.json").read_text())["rows"] == {"": 70}
    monkeypatch.setattr(embeddings, "_on_replicas", lambda *_: None)
    np.testing.assert_array_equal(features(config), first)
    # The same model in Python is another identity: of weights and layers, whatever they are called.
    monkeypatch.undo()
    config.data.encoder = encoders.IN_PYTHON
    np.testing.assert_array_equal(features(config, model=model), first)
    monkeypatch.setattr(embeddings, "_on_replicas", lambda *_: None)
    again = convolutions()
    assert again.layers[1].name != model.layers[1].name
    np.testing.assert_array_equal(features(config, model=again), first)
    monkeypatch.undo()
    assert not np.array_equal(features(config, model=convolutions(seed=1)), first)
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_killed_run_goes_on_behind_the_last_whole_batch(tmp_path, file, monkeypatch):
    monkeypatch.setattr(kept_rows, "_SECONDS_TO_SAVE", 0)
    monkeypatch.setattr(embeddings, "_ROWS_A_DEVICE", {True: 8})
    config = config_of(tmp_path, file)
    whole = np.array(features(config))
    shutil.rmtree(tmp_path / "cache")
    make, sizes, most = embeddings._on_replicas, [], 5

    def dying(*arguments):
        run = make(*arguments)

        def of_batch(x, size):
            if len(sizes) == most:
                raise SystemError("killed")
            sizes.append(len(x))
            return run(x, size)

        return of_batch

    monkeypatch.setattr(embeddings, "_on_replicas", dying)
    with pytest.raises(SystemError):
        features(config)
    assert sizes == [4, 8, 8, 8, 8]  # two of them to compare
    sizes, most = [], 99
    np.testing.assert_array_equal(features(config), whole)
    assert sizes == [4, 8] + [8] * 5 + [6]


def test_a_probe_from_images_to_its_optimum(tmp_path, photographs, file, model, strategies):
    """Images of any size, an encoder, and 45 penalties, from the command's config."""
    config = configs.load("linear_probe")
    config.data.source, config.data.args = "tfds", {"folder": photographs, "resize": SIZE}
    config.data.update(
        validation_fraction=0.0,
        validation_split="validation",
        encoder=file,
        cache_dir=str(tmp_path / "cache"),
    )
    run = str(tmp_path / "run")
    result = training.train_and_evaluate(config, run, strategy=strategies["one_device"])
    assert result["num_features"] == 5
    assert result["status"] == "optimal"
    assert result["metrics"]["validation"]["accuracy"] > 0.9
    numbers = evaluate.evaluate_run(run, strategy=strategies["one_device"])
    assert numbers["validation"]["num_rows"] == 12
    # Its images are given to the encoder as bytes, 0..255.
    plain = config.copy_and_resolve_references()
    plain.data.encoder = ""
    raw, encoded = (dataset.read_data(one)[0].host(np.arange(52)).x for one in (plain, config))
    images = np.rint(raw * 255).reshape(52, *SIZE, 3)
    np.testing.assert_allclose(encoded, vectors(model, images), rtol=1e-5, atol=1e-6)


def test_a_changed_encoder_is_other_data(tmp_path, strategies):
    path = str(tmp_path / "mine.keras")
    convolutions().save(path)
    config, run = config_of(tmp_path, path), str(tmp_path / "run")
    training.train_and_evaluate(config, run, strategy=strategies["one_device"])
    convolutions(seed=1).save(path)
    with pytest.raises(InputError, match=r"data: '.*mine.keras' has changed"):
        training.train_and_evaluate(config, run, strategy=strategies["one_device"])


def test_a_model_in_python(tmp_path, model, strategies):
    config, run = config_of(tmp_path), str(tmp_path / "run")
    result = tf_logreg.train(config, run, encoder=model, strategy=strategies["mirrored"])
    assert result["num_features"] == 5
    assert tf_logreg.train(config, run, encoder=convolutions(), strategy=strategies["mirrored"]) == result
    with pytest.raises(InputError, match="data: 'encoder' has changed"):
        tf_logreg.train(config, run, encoder=convolutions(seed=1), strategy=strategies["mirrored"])
    with pytest.raises(InputError, match=r"data.encoder: expected the model itself, .* Received: none"):
        evaluate.evaluate_run(run, strategy=strategies["one_device"])


def test_a_dataset_behind_a_model(tmp_path, model):
    config = configs.get_config()
    config.l2, config.data.cache_dir = 0.1, str(tmp_path / "cache")
    weight = DRAW.uniform(1, 2, 70) * 2.0**80
    data = tf.data.Dataset.from_tensor_slices((IMAGES, Y, weight)).batch(9)
    found = tf_logreg.train(data, config=config, encoder=model)
    plain = tf.data.Dataset.from_tensor_slices((vectors(model, IMAGES), Y, weight)).batch(9)
    expected = tf_logreg.train(plain, config=config)
    np.testing.assert_allclose(found.kernel, expected.kernel, rtol=1e-3, atol=1e-5)
    run = str(tmp_path / "run")
    tf_logreg.train(data, run, config=config, encoder=model)
    with pytest.raises(InputError, match="data: 'encoder' has changed"):
        tf_logreg.train(data, run, config=config, encoder=convolutions(seed=1))


def test_rows_of_numbers_and_rows_that_tensorflow_reads(tmp_path):
    dense = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="tanh")])
    config = config_of(tmp_path, encoders.IN_PYTHON)
    config.data.source, config.data.args = "synthetic", {"num_rows": 70, "num_features": 5}
    found = features(config, model=dense)
    plain = config.copy_and_resolve_references()
    plain.data.encoder = ""
    source, _ = dataset.read_data(plain)
    np.testing.assert_allclose(found, vectors(dense, source.read(tf.range(70)).x), rtol=1e-5, atol=1e-6)


def test_flat_rows_take_the_shape_of_the_encoder(tmp_path, file, model):
    config = config_of(tmp_path, file)
    np.save(tmp_path / "x.npy", IMAGES.reshape(70, -1))
    np.testing.assert_allclose(features(config), vectors(model, IMAGES), rtol=1e-5, atol=1e-6)


class TestApplications:
    """By name, with weights from a file."""

    @pytest.fixture(scope="class")
    def weights(self, tmp_path_factory):
        keras.utils.set_random_seed(0)
        folder = tmp_path_factory.mktemp("weights")
        made = keras.applications.MobileNet(
            include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)
        )
        paths = [str(folder / name) for name in ("m.weights.h5", "m.h5")]
        made.save_weights(paths[0])
        made.save(paths[1])  # the old form, as Keras' own files of weights have it
        return made, paths

    def test_images_are_prepared_as_the_application_was_trained(self, weights, strategies):
        made, paths = weights
        images = DRAW.integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
        expected = made(keras.applications.mobilenet.preprocess_input(images.copy()), training=False)
        for path in paths:
            encoder = encoders.load("MobileNet", path, (32, 32, 3), strategies["one_device"])
            assert encoder.width == 1024
            np.testing.assert_allclose(encoder.encode(tf.constant(images)), expected, rtol=1e-3, atol=1e-4)

    def test_every_name_is_an_application_of_keras(self):
        for name, module in applications.APPLICATIONS.items():
            assert callable(getattr(keras.applications, name))
            assert callable(getattr(keras.applications, module).preprocess_input)

    def test_nothing_is_downloaded(self, tmp_path, weights):
        config = config_of(tmp_path, "MobileNet")
        with pytest.raises(
            InputError, match=r"data.encoder_weights: expected a file .* nothing is downloaded"
        ):
            configs.validate(config)
        config.data.encoder_weights = str(tmp_path / "none.h5")
        np.save(tmp_path / "x.npy", np.zeros((70, 32, 32, 3), np.uint8))
        with pytest.raises(InputError, match=r"data.encoder_weights: no such file. Received: .*none.h5"):
            features(config)

    def test_weights_of_something_else(self, tmp_path, file):
        config = config_of(tmp_path, "MobileNet", encoder_weights=file)
        np.save(tmp_path / "x.npy", np.zeros((70, 32, 32, 3), np.uint8))
        with pytest.raises(
            InputError, match=r"data.encoder_weights: expected weights of MobileNet .*small.keras"
        ) as error:
            features(config)
        assert "\n" not in str(error.value)

    def test_rows_that_are_no_images_or_too_small(self, tmp_path, weights):
        config = config_of(tmp_path, "MobileNet", encoder_weights=weights[1][0])
        with pytest.raises(
            InputError, match=r"MobileNet cannot take images of shape \(10, 8, 3\): .* at least"
        ):
            features(config)
        np.save(tmp_path / "x.npy", IMAGES.reshape(70, -1))
        with pytest.raises(
            InputError, match=r"images \(height, width, 3\) for MobileNet. Received: .*\(240,\)"
        ):
            features(config)


FAULTS = {
    "neither file nor name": ({"encoder": "resnet.h5"}, r"data.encoder: expected a .keras file or one of ConvNeXtTiny, .* 'resnet.h5'"),
    "weights of a file": ({"encoder": "a.keras", "encoder_weights": "b.h5"}, "data.encoder_weights: expected '' but with"),
    "weights alone": ({"encoder_weights": "b.h5"}, "data.encoder_weights: expected '' but with"),
    "a table": ({"source": "csv", "args": {"path": "a.csv"}, "encoder": "a.keras"}, "data.encoder: expected '' with a table"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_of_a_config(data, message):
    config = configs.get_config()
    config.data.update(data)
    with pytest.raises(InputError, match=message):
        configs.validate(config)


def test_what_python_gives_for_an_encoder(tmp_path, model, strategies):
    config = config_of(tmp_path)
    with pytest.raises(InputError, match=r"encoder: expected a keras.Model. Received: str"):
        tf_logreg.train(config, str(tmp_path / "run"), encoder="a.keras")
    config.data.encoder = "a.keras"
    with pytest.raises(
        InputError, match=r"encoder: expected none beside data.encoder. Received: a model beside 'a.keras'"
    ):
        tf_logreg.train(config, str(tmp_path / "run"), encoder=model)
    with pytest.raises(InputError, match="encoder: expected none with a data frame"):
        tf_logreg.train({"a": [1, 2], "y": [0, 1]}, label="y", encoder=model)
    # A class of one's own works where it lies, but cannot be copied to several devices.
    mine, config = Mine(keras.ops.abs), config_of(tmp_path, encoders.IN_PYTHON)
    np.testing.assert_allclose(features(config, model=mine), IMAGES.mean(axis=(1, 2)), rtol=1e-5)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(InputError, match="functional or sequential model with several devices"):
        features(config, model=mine, strategy=strategies["mirrored"])


def test_sparse_rows(tmp_path, model):
    (tmp_path / "a.libsvm").write_text("0 1:2\n1 2:1\n")
    config = config_of(tmp_path, encoders.IN_PYTHON)
    config.data.source, config.data.args = "libsvm", {"path": str(tmp_path / "a.libsvm")}
    with pytest.raises(InputError, match=r"data.encoder: expected '' with sparse rows"):
        features(config, model=model)


@pytest.mark.long
def test_workers_encode_by_themselves_and_share_what_one_has_kept(tmp_path, file, strategies):
    config = config_of(tmp_path, file)
    one = training.train_and_evaluate(config, str(tmp_path / "one"), strategy=strategies["one_device"])
    for name in ("shared", "own"):
        flags = [
            "--config=linear_probe",
            "--config.path.penalty=",
            "--config.path.C=()",
            "--config.standardize=true",
        ]
        flags += ["--config.data.validation_fraction=0.0", "--config.data.test_fraction=0.2"]
        flags += ["--config.model.output=auto", "--config.data.source=npy", "--config.l2=0.1"]
        flags += [f"--config.data.args.{key}={path}" for key, path in config.data.args.items()]
        cache = tmp_path / f"cache {name}"  # made by two at once, or by one before
        if name == "own":
            shutil.copytree(tmp_path / "cache", cache)
        workers = worker_runs.run_workers(
            2,
            *flags,
            f"--config.data.encoder={file}",
            f"--config.data.cache_dir={cache}",
            workdir=tmp_path / name,
        )
        codes, _, errors = worker_runs.ended(workers)
        assert codes == [0, 0], errors
        assert len(list(cache.iterdir())) == 1
        np.testing.assert_allclose(
            worker_runs.kernel_of(tmp_path / name),
            worker_runs.kernel_of(tmp_path / "one"),
            rtol=1e-4,
            atol=1e-6,
        )
    assert one["num_features"] == 5
