"""A tf.data.Dataset as data: batched or not, in memory or in a file; what is no such dataset is refused."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import tf_dataset
from tf_logreg.errors import InputError
from tf_logreg.modes import evaluate

DRAW = np.random.default_rng(0)
X, Y, W = DRAW.normal(size=(70, 4)).astype(np.float32), np.arange(70) % 3, DRAW.uniform(1, 2, 70)
Slices = tf.data.Dataset.from_tensor_slices


def generator(rows, features, label=None):
    """A dataset whose number of elements TensorFlow does not know."""
    label = label if label is not None else tf.TensorSpec([], tf.int64)
    return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=(features, label))


@pytest.mark.parametrize("batch", [0, 1, 16])
@pytest.mark.parametrize("weight", [None, W])
def test_rows_one_by_one_and_in_batches(batch, weight):
    dataset = Slices((X, Y) if weight is None else (X, Y, weight))
    found = tf_dataset.read(dataset.batch(batch) if batch else dataset)
    np.testing.assert_array_equal(found.x, X)
    np.testing.assert_array_equal(found.y, Y)
    if weight is None:
        assert found.weight is None
    else:
        np.testing.assert_array_equal(found.weight, weight)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16", "float64", "bool", "int32"])
def test_numbers_keep_their_dtype_in_memory_and_in_a_file(tmp_path, dtype, monkeypatch):
    images = tf.cast(tf.constant(DRAW.integers(0, 2, (9, 4, 5, 3))), dtype)
    dataset = Slices((images, Y[:9])).batch(2)
    found = [tf_dataset.read(dataset)]
    monkeypatch.setattr(tf_dataset, "_SHARE", 0)
    found.append(tf_dataset.read(dataset, str(tmp_path / "cache")))
    for one in found:
        assert one.x.shape == (9, 4, 5, 3)
        assert one.x.dtype == images.numpy().dtype
        np.testing.assert_array_equal(one.x, images.numpy())
    assert list((tmp_path / "cache").iterdir()) == []  # a file without a name, gone with its last user


def test_where_rows_are_kept_without_being_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tf_dataset, "_SHARE", 0)
    monkeypatch.setattr(tf_dataset, "_SECONDS", 0)
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(tf_dataset.read(Slices((X, Y))).x, X)
    assert f"they are kept in {tmp_path}/tf_logreg" in caplog.text
    assert "Read 70 rows" in caplog.text


def test_a_dataset_of_unknown_length_and_shapes():
    features = tf.TensorSpec(None, tf.float32)
    found = tf_dataset.read(generator(zip(X, Y, strict=True), features))
    np.testing.assert_array_equal(found.x, X)
    ragged = [(np.ones(3, np.float32), 0), (np.ones(4, np.float32), 1)]
    for spec in (features, tf.TensorSpec([None], tf.float32)):
        with pytest.raises(
            InputError, match=r"features of one shape, \(3,\) as in the first row. Received: \(4,\) in row 1"
        ):
            tf_dataset.read(generator(ragged, spec))


def test_a_dataset_without_end_fills_no_disk(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"infinite cardinality; dataset.take\(n\)"):
        tf_dataset.read(Slices((X, Y)).repeat())
    monkeypatch.setattr(tf_dataset, "_SHARE", 0)
    left = iter([2**40] * 3 + [0] * 99)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("", (), {"free": next(left)}))
    endless = generator(((X[0], 0) for _ in itertools.count()), tf.TensorSpec([4], tf.float32))
    with pytest.raises(InputError, match=r"a disk that is full.*take\(n\) gives it one"):
        tf_dataset.read(endless, str(tmp_path))


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(tf_dataset, "_SHARE", 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"data.cache_dir: cannot write .*file"):
        tf_dataset.read(Slices((X, Y)), str(tmp_path / "file" / "cache"))


def failing():
    yield X[0], 0
    raise ValueError("the camera is broken")


ONE_HOT = np.eye(3, dtype=np.float32)[Y]
BAD = {
    "features alone": (Slices(X), "elements .*Received: a Tensor"),
    "a dict": (Slices({"x": X, "y": Y}), "Received: a dict"),
    "four parts": (Slices((X, Y, W, W)), "Received: a tuple of 4"),
    "columns": (Slices(({"a": X}, Y)), "Received: dict for the features; a data frame or a dict of columns"),
    "ragged": (Slices((tf.ragged.constant([[1.0], [1.0, 2.0]]), [0, 1])), "Received: RaggedTensor for the features"),
    "sparse": (Slices((tf.sparse.from_dense(X), Y)), "Received: SparseTensor for the features"),
    "words": (Slices((X.astype(str), Y)), "features that are numbers. Received: string"),
    "one-hot": (Slices((X, ONE_HOT)).batch(8), r"label of shape \(None, 3\); tf.argmax"),
    "a column of labels": (Slices((X, Y[:, None])).batch(8), r"label of shape \(None, 1\)"),
    "one number": (Slices((X[:, 0], Y)), r"features of shape \(\) beside labels of shape \(\)"),
    "one number a row": (Slices((X[:, 0], Y)).batch(8), r"features of shape \(None,\) beside labels of shape \(None,\)"),
    "weights of a batch": (Slices((X, Y, W[:, None])), r"weights of shape \(1,\) beside labels of shape \(\)"),
    "no rows": (Slices((X[:0], Y[:0])), "expected a dataset with rows. Received: none"),
    "an error of its own": (generator(failing(), tf.TensorSpec([4], tf.float32)), "failed after .*the camera is broken"),
    "other lengths": (
        generator([(X[:3], Y[:3]), (X[:3], Y[:2])], tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None], tf.int64)),
        "Received: 3, 2 in the batch that begins with row 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("dataset", "message"), BAD.values(), ids=BAD)
def test_datasets_that_are_no_rows(dataset, message):
    with pytest.raises(InputError, match=message) as error:
        tf_dataset.read(dataset)
    assert "\n" not in str(error.value)


def settings(**data):
    config = configs.get_config()
    config.l2, config.data = 0.1, {**config.data, "test_fraction": 0.2, **data}
    return config


def test_train_gives_the_model_of_the_same_rows(tmp_path, monkeypatch):
    words = np.array(["bird", "cat", "dog"])[Y]
    dataset = Slices((X, words, W)).batch(7)
    model = tf_logreg.train(dataset, config=settings())
    assert model.class_names == ("bird", "cat", "dog")
    assert model.result["status"] == "optimal"
    assert model.result["metrics"]["test"]["num_rows"] == 15
    monkeypatch.setattr(tf_dataset, "_SHARE", 0)
    config = settings(cache_dir=str(tmp_path))
    for options in ({}, {"device_memory_fraction": 0.0}):  # from a file, and streamed from it
        again = tf_logreg.train(dataset, config=config, **options)
        np.testing.assert_allclose(again.kernel, model.kernel, rtol=1e-6, atol=1e-9)


def test_train_in_a_work_directory_repeats_nothing_and_notices_other_rows(tmp_path, strategies):
    run, config = str(tmp_path / "run"), settings()
    model = tf_logreg.train(Slices((X, Y)), run, config=config)
    assert tf_logreg.train(Slices((X, Y)).batch(3), run, config=config).result == model.result
    with pytest.raises(InputError, match="data: 'x' has changed"):
        tf_logreg.train(Slices((X + 1, Y)), run, config=config)
    with pytest.raises(InputError, match=r"'tf_dataset', a tf.data.Dataset that .* Give --config"):
        evaluate.evaluate_run(run, strategy=strategies["one_device"])


def test_train_by_minibatches(strategies):
    config = settings()
    config.solver.name, config.minibatch.epochs = "minibatch", 2
    model = tf_logreg.train(Slices((X, Y)), config=config, strategy=strategies["mirrored"])
    assert model.result["num_replicas"] == 2


def test_what_train_refuses_of_a_dataset():
    with pytest.raises(InputError, match=r"label: expected '' beside a tf\.data\.Dataset"):
        tf_logreg.train(Slices((X, Y)), label="y")
    with pytest.raises(InputError, match=r"a tf.data.Dataset or a config. Received: list"):
        tf_logreg.train([1, 2])
    with pytest.raises(
        InputError, match=r"finite numbers. Received: nan in row 3 of the dataset, counted from 0"
    ):
        x = X.copy()
        x[3, 1] = np.nan
        tf_logreg.train(Slices((x, Y)), config=settings())
