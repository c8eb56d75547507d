"""What is saved serves: SavedModel, model.keras and our evaluation agree in a fresh process."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_logreg import config as configs
from tf_logreg import training
from tf_logreg.data import dataset
from tf_logreg.export import saved_model
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model

# No import of tf_logreg: what a user's server has.
FRESH = """
import json, sys
import keras, numpy as np, tensorflow as tf
folder = sys.argv[1]
x = np.load(folder + "/x.npy")
serve = tf.saved_model.load(folder + "/export").signatures["serving_default"]
model = keras.models.load_model(folder + "/model.keras")
answer = {}
for size in (0, 1, 1000):
    served = {key: value.numpy() for key, value in serve(features=tf.constant(x[:size])).items()}
    keras_probabilities = np.asarray(model(x[:size]))
    if keras_probabilities.shape[1] == 1:
        keras_probabilities = np.hstack([1 - keras_probabilities, keras_probabilities])
    difference = np.abs(served["probabilities"] - keras_probabilities)
    answer[size] = {
        "shapes": {key: list(value.shape) for key, value in served.items()},
        "difference": float(difference.max()) if size else 0.0,
        "names": [name.decode() for name in served["class_name"]],
        "class_id": served["class_id"].tolist(),
        "probabilities": served["probabilities"].tolist(),
    }
print(json.dumps(answer))
"""


@pytest.fixture(scope="module", params=["digits", "breast_cancer"])
def run(request, tmp_path_factory, strategies, digits_run):
    """(workdir, result, x float32 [1000, p], class names) of a shipped config."""
    if request.param == "digits":
        workdir, result = digits_run
    else:
        workdir = str(tmp_path_factory.mktemp("export") / "run")
        result = training.train_and_evaluate(
            configs.load(request.param), workdir, strategy=strategies["mirrored"]
        )
    source, rows = dataset.read_data(configs.load(request.param))
    x = source.read(tf.constant(np.resize(rows["test"], 1000))).x.numpy().astype(np.float32)
    return workdir, result, source, rows, x


def test_fresh_process_agrees_for_batches_of_0_1_and_1000(run, tmp_path, tensorflow_alone):
    workdir, result, source, rows, x = run
    for name in ("export", "model.keras"):
        (tmp_path / name).symlink_to(f"{workdir}/{name}")
    np.save(tmp_path / "x.npy", x)
    answer = json.loads(tensorflow_alone.run(FRESH, str(tmp_path)).splitlines()[-1])
    classes, outputs = len(source.class_names), 1 if len(source.class_names) == 2 else len(source.class_names)
    for size in (0, 1, 1000):
        found = answer[str(size)]
        assert found["shapes"] == {
            "logits": [size, outputs],
            "probabilities": [size, classes],
            "class_id": [size],
            "class_name": [size],
        }
        assert found["difference"] <= 1e-6
        assert found["names"] == [source.class_names[k] for k in found["class_id"]]
    probabilities = np.array(answer["1000"]["probabilities"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert probabilities.argmax(axis=1).tolist() == answer["1000"]["class_id"]
    # The first rows are the test split: our own evaluation's numbers come out of the server.
    size = len(rows["test"])
    y = source.labels(rows["test"])
    log_loss = -np.log(probabilities[np.arange(size), y]).mean()
    assert log_loss == pytest.approx(result["metrics"]["test"]["log_loss"], abs=1e-6)
    accuracy = (probabilities[:size].argmax(axis=1) == y).mean()
    assert accuracy == pytest.approx(result["metrics"]["test"]["accuracy"], abs=1e-9)


@pytest.mark.long
def test_saved_model_cli_reads_it(run):
    workdir, _, source, _, _ = run
    done = subprocess.run(
        [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show", "--dir", f"{workdir}/export"]
        + ["--tag_set", "serve", "--signature_def", "serving_default"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for text in (
        "inputs['features']",
        f"shape: (-1, {len(source.feature_names)})",
        "outputs['probabilities']",
    ):
        assert text in done.stdout


def test_coefficients_are_the_models_in_raw_units(run):
    workdir, _, source, _, x = run
    with np.load(f"{workdir}/coefficients.npz", allow_pickle=False) as arrays:
        logits = x.astype(np.float64) @ arrays["kernel"] + arrays["bias"]
        assert tuple(arrays["feature_names"]) == source.feature_names
        assert tuple(arrays["class_names"]) == source.class_names
    serve = tf.saved_model.load(f"{workdir}/export").signatures["serving_default"]
    np.testing.assert_allclose(serve(features=tf.constant(x))["logits"], logits, rtol=1e-4, atol=1e-4)


def test_a_tie_goes_to_the_lower_class_everywhere():
    model = Model(np.zeros((2, 1)), np.zeros(1), ("a", "b"), ("no", "yes"), Head("sigmoid", 2))
    served = saved_model.serving_module(model).serve(tf.zeros([1, 2]))
    assert model.predict(np.zeros((1, 2))).tolist() == ["no"]
    assert served["class_id"].numpy().tolist() == [0]
    assert served["probabilities"].numpy().tolist() == [[0.5, 0.5]]
    assert served["class_name"].numpy().tolist() == [b"no"]


def test_a_small_probability_keeps_its_digits():
    model = Model(np.array([[40.0]]), np.zeros(1), ("a",), ("no", "yes"), Head("sigmoid", 2))
    served = saved_model.serving_module(model).serve(tf.constant([[1.0], [-1.0]]))
    small = np.exp(-40.0)
    np.testing.assert_allclose(model.predict_proba([[1.0], [-1.0]]), [[small, 1], [1, small]], rtol=1e-12)
    np.testing.assert_allclose(served["probabilities"], [[small, 1], [1, small]], rtol=1e-5)


def test_feature_names_are_in_the_saved_model(run):
    workdir, _, source, _, _ = run
    loaded = tf.saved_model.load(f"{workdir}/export")
    found = loaded.signatures["names"]()
    for name, expected in (("feature_names", source.feature_names), ("class_names", source.class_names)):
        assert [one.decode() for one in found[name].numpy()] == list(expected)
        assert [one.decode() for one in getattr(loaded, name).numpy()] == list(expected)


@pytest.mark.parametrize(
    ("classes", "output"), [(2, "sigmoid"), (2, "softmax"), (3, "softmax"), (3, "one_vs_rest")]
)
def test_a_row_without_an_answer_says_so(tmp_path, classes, output):
    """Whatever the feature that is missing, one without weight included, and whatever the class it spoke for."""
    head, names = Head(output, classes), ("no", "yes", "maybe")[:classes]
    kernel = np.linspace(-1, 1, head.outputs)
    # The second feature has no weight.
    model = Model(np.stack([kernel, 0 * kernel]), kernel, ("a", "b"), names, head)
    model.export(str(tmp_path / "export"))
    serve = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    bad = [row for v in (np.nan, np.inf, -np.inf) for row in ([v, 0.0], [0.0, v])]
    served = {
        key: value.numpy()
        for key, value in serve(features=tf.constant([[0.5, 0.5], *bad, [-0.5, 0]])).items()
    }
    assert served["class_id"][1:-1].tolist() == [-1] * len(bad)
    assert served["class_name"][1:-1].tolist() == [b""] * len(bad)
    assert served["probabilities"].shape == (len(bad) + 2, classes)
    assert np.isnan(served["probabilities"][1:-1]).all()
    # Its neighbours in the batch keep their answers.
    for row in (0, -1):
        assert served["probabilities"][row].sum() == pytest.approx(1)
        assert served["class_name"][row].decode() == names[served["class_id"][row]]
