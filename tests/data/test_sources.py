"""Sources: labels of any coding, arrays in files, planted rows, real TFDS files on disk."""

import numpy as np
import pytest
import tensorflow as tf
import tfds_sets
from sklearn.datasets import load_digits

from tf_logreg import config as configs
from tf_logreg.data import dataset, labels
from tf_logreg.data.load import faults, known, load
from tf_logreg.data.sources import synthetic
from tf_logreg.data.views import with_positive_class
from tf_logreg.errors import InputError


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([1, 2, 3, 2], ("1", "2", "3")),  # 1..C is not taken for 0..C-1
        ([-1, 1, 1, -1], ("-1", "1")),
        ([50, 10, 20, 10], ("10", "20", "50")),
        (["yes", "no", "no", "yes"], ("no", "yes")),
        ([True, False, True, True], ("False", "True")),
        ([0.0, 2.0, 1.0, 2.0], ("0", "1", "2")),
        ([b"b", b"a", b"b", b"b"], ("a", "b")),
    ],
)
def test_labels_of_any_coding(given, names):
    y, found = labels.encode(np.array(given))
    assert found == names
    decoded = [found[k] for k in y]
    assert decoded == [
        v.decode() if isinstance(v, bytes) else str(int(v) if isinstance(v, float) else v) for v in given
    ]


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        ([0, 1.5], (), "1.5 in row 1"),
        ([0, np.nan], (), "nan in row 1"),
        ([0, np.inf], (), "inf in row 1"),
        ([0, 3], ("a", "b"), "Received: 3 in row 1"),
        (["a", "c"], ("a", "b"), "'c' in row 1"),
        ([[0], [1]], (), "shape"),
        ([1 + 2j], (), "complex"),
    ],
)
def test_bad_labels(given, names, message):
    with pytest.raises(InputError, match=message):
        labels.encode(np.array(given), names)


def read_all(source):
    rows = np.concatenate([np.asarray(split) for split in source.splits.values()])
    return source.read(tf.constant(rows))


def test_npz_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(20, 3)), rng.integers(0, 2, 20), rng.uniform(size=20)
    path = tmp_path / "a.npz"
    np.savez(path, x=x, y=y, weight=weight, feature_names=["a", "b", "c"], class_names=["no", "yes"])
    source = load("npz", path=str(path))
    batch = read_all(source)
    assert source.feature_names == ("a", "b", "c")
    assert source.class_names == ("no", "yes")
    np.testing.assert_array_equal(batch.x, x)
    np.testing.assert_array_equal(batch.y, y)
    np.testing.assert_array_equal(batch.weight, weight.astype(np.float32))
    assert source.place(7) == f"row 7 of {path}"


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((3, 2))}, "lacks y and holds x"),
        ({"z": np.ones(3)}, "lacks x and y and holds z"),
        ({"x": np.array([[{}]]), "y": np.ones(1)}, "pickled objects are not loaded"),
        ({"x": np.ones((3, 2)), "y": np.array([0, 1, None])}, "pickled objects are not loaded"),
        ({"x": np.ones((0, 2)), "y": np.ones(0)}, r"shape \(0, 2\)"),
        ({"x": np.ones((3, 0)), "y": np.ones(3)}, r"shape \(3, 0\)"),
        ({"x": np.ones(3), "y": np.ones(3)}, r"shape \(3,\)"),
        ({"x": np.ones((3, 2)), "y": np.arange(4)}, "y: expected 3 values"),
        ({"x": np.ones((3, 2)), "y": np.arange(3), "weight": np.ones(2)}, "weight: expected 3 values"),
        ({"x": np.ones((3, 2)), "y": np.arange(3), "weight": np.array(["a"] * 3)}, "weight: expected real"),
        ({"x": np.ones((3, 2)), "y": np.arange(3), "feature_names": ["a"]}, "feature names: expected 2"),
        ({"x": np.array([["a", "b"]]), "y": np.ones(1)}, "x: expected real numbers"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    path = write_npz(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=message) as error:
        load("npz", path=path)
    assert path in str(error.value)


def test_npz_that_is_not_there_or_not_one(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load("npz", path=str(tmp_path / "none.npz"))
    for name, content in (("text.npz", b"hello"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"expected an \.npz file|pickled"):
            load("npz", path=str(tmp_path / name))
    with pytest.raises(InputError, match=r"expected an \.npz file"):
        load("npz", path=str(tmp_path))
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(InputError, match=r"expected an \.npz file"):
        load("npz", path=str(tmp_path / "array.npy"))


def test_narrow_integers_are_kept_and_read_as_float32(tmp_path):
    path = write_npz(tmp_path / "a.npz", x=np.arange(6, dtype=np.uint8).reshape(3, 2), y=np.arange(3))
    assert load("npz", path=path).x_dtype == np.float32
    path = write_npz(tmp_path / "b.npz", x=np.full((3, 2), 2**40 + 1), y=np.arange(3))
    assert read_all(load("npz", path=path)).x[0, 0] == 2**40 + 1


@pytest.mark.parametrize("num_classes", [2, 4])
def test_synthetic_rows_depend_on_their_index_alone(num_classes):
    source = load("synthetic", num_rows=1000, num_features=7, num_classes=num_classes, seed=3)
    whole = read_all(source)
    rows = np.array([999, 3, 3, 512])
    some = source.read(tf.constant(rows))
    np.testing.assert_array_equal(some.x, whole.x.numpy()[rows])
    np.testing.assert_array_equal(some.y, whole.y.numpy()[rows])
    np.testing.assert_array_equal(source.labels(rows), whole.y.numpy()[rows])
    other = read_all(load("synthetic", num_rows=1000, num_features=7, num_classes=num_classes, seed=4))
    assert abs(np.corrcoef(other.x.numpy().ravel(), whole.x.numpy().ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("num_classes", [2, 3])
def test_synthetic_rows_follow_the_model_they_promise(num_classes):
    n = 200_000
    source = load("synthetic", num_rows=n, num_features=4, num_classes=num_classes, correlation=0.5, seed=1)
    batch = read_all(source)
    x = batch.x.numpy().astype(np.float64)
    # Means, deviations and correlations within five standard errors.
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=5 / np.sqrt(n))
    np.testing.assert_allclose(np.corrcoef(x.T), 0.5 + 0.5 * np.eye(4), atol=5 / np.sqrt(n))
    np.testing.assert_allclose(x.std(axis=0), 1, atol=5 / np.sqrt(n))
    kernel, bias = synthetic.coefficients(4, num_classes, seed=1)
    z = x @ kernel + bias
    z = np.hstack([np.zeros_like(z), z]) if num_classes == 2 else z
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    # At the planted weights the score X^T (y - p) has mean zero: again five standard errors.
    score = x[:, :, None] * (np.eye(num_classes)[batch.y.numpy()] - p)[:, None, :]
    assert np.abs(score.mean(axis=0)).max() < 5 * score.std(axis=0).max() / np.sqrt(n)


def test_positive_class():
    source = load("sklearn", name="breast_cancer")
    assert source.class_names == ("malignant", "benign")
    flipped = with_positive_class(source, "malignant")
    assert flipped.class_names == ("benign", "malignant")
    np.testing.assert_array_equal(read_all(flipped).y, 1 - read_all(source).y.numpy())
    np.testing.assert_array_equal(flipped.labels(np.arange(9)), 1 - source.labels(np.arange(9)))
    assert with_positive_class(source, "benign") is source
    for name, data in (("nobody", "breast_cancer"), ("setosa", "iris")):
        with pytest.raises(InputError, match=r"positive_class.*the classes are"):
            with_positive_class(load("sklearn", name=data), name)


def test_faults_name_source_and_arguments():
    assert known() == [
        "csv",
        "frame",
        "libsvm",
        "npy",
        "npz",
        "parquet",
        "sklearn",
        "synthetic",
        "table",
        "tf_dataset",
        "tfds",
    ]
    assert (
        "one of csv, frame, libsvm, npy, npz, parquet, sklearn, synthetic, table, tf_dataset, tfds"
        in faults("excel", {})[0]
    )
    assert "no such argument" in faults("npz", {"path": "a", "colour": 1})[0]
    assert "needs it" in faults("npz", {})[0]
    assert "expected int" in faults("synthetic", {"num_rows": 1.5})[0]
    assert faults("synthetic", {"num_rows": 15, "correlation": 0}) == []
    with pytest.raises(InputError, match="breast_cancer, digits"):
        load("sklearn", name="adult")
    for bad in ({"num_rows": 0}, {"num_classes": 1}, {"correlation": 1.0}):
        with pytest.raises(InputError, match="expected"):
            load("synthetic", **bad)


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    return tfds_sets.prepare(tfds_sets.TinyDigits, tmp_path_factory.mktemp("tfds"))


def test_tfds_set_on_disk(tfds_folder):
    source = load("tfds", folder=tfds_folder)
    assert source.class_names == tuple("0123456789")
    assert source.splits == {"train": range(1200), "test": range(1200, 1797)} or source.splits == {
        "test": range(597),
        "train": range(597, 1797),
    }
    x, y = load_digits(return_X_y=True)
    for split, expected in (("train", x[:1200]), ("test", x[1200:])):
        batch = source.read(tf.constant(np.asarray(source.splits[split])))
        assert batch.x.dtype == tf.float32
        assert batch.x.shape[1] == 64
        # TFDS shuffles rows while it prepares: compare them as a sorted set.
        found = np.round(batch.x.numpy() * 255)
        np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(np.floor(expected * 15), axis=0))
        assert 0 <= batch.x.numpy().min() <= batch.x.numpy().max() <= 1
    assert np.bincount(read_all(source).y).tolist() == np.bincount(y).tolist()
    start = source.splits["test"].start
    assert "row 5 of split 'test' of tiny_digits/1.0.0" in source.place(start + 5)


def test_a_tfds_set_that_declares_more_classes_than_it_has(tmp_path):
    config = configs.get_config()
    config.data.source = "tfds"
    config.data.args = {"folder": tfds_sets.prepare(tfds_sets.TinyLetters, tmp_path)}
    source, rows = dataset.read_data(config)
    assert source.class_names == tuple("0123456789")
    assert source.absent_classes == ("10", "11")
    assert set(source.labels(rows["train"])) == set(range(10))


def test_tfds_by_name(tmp_path):
    tfds_sets.prepare(tfds_sets.Mnist, tmp_path)
    source = load("tfds", name="mnist", data_dir=str(tmp_path), download=False)
    assert len(source.feature_names) == 784
    assert {split: len(rows) for split, rows in source.splits.items()} == {"train": 1200, "test": 597}
    assert read_all(source).x.numpy().max() == pytest.approx(240 / 255)


def test_bad_tfds(tmp_path):
    with pytest.raises(InputError, match=r"such as .*mnist"):
        load("tfds", name="mnst")
    with pytest.raises(InputError, match="not prepared"):
        load("tfds", name="mnist", data_dir=str(tmp_path), download=False)
    with pytest.raises(InputError, match=r"dataset_info\.json"):
        load("tfds", folder=str(tmp_path))
    with pytest.raises(InputError, match="one of name and folder"):
        load("tfds")
