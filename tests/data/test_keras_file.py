"""A .keras file is read without running code, and what is wrong with one is named."""

import json
import pathlib
import shutil
import zipfile

import keras
import pytest
from small_encoders import convolutions, functional

from tf_logreg.data import keras_file
from tf_logreg.errors import InputError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "small.keras"
    convolutions().save(path)
    return str(path)


def refuse(path, message):
    with pytest.raises(InputError, match=message) as error:
        keras_file.load(str(path), "data.encoder")
    assert "\n" not in str(error.value)


def test_a_lambda_layer_does_not_run(tmp_path):
    path, trace = tmp_path / "lambda.keras", str(tmp_path / "it_ran")
    lambda_ = keras.layers.Lambda(lambda x: (open(trace, "w").close(), x)[1], name="harmless")
    made = functional(lambda x: keras.layers.Flatten()(lambda_(x)))
    made.save(path)
    pathlib.Path(trace).unlink(missing_ok=True)
    refuse(path, r"layers whose code is in Keras, .* Received: Lambda 'harmless' in .*lambda.keras")
    assert not pathlib.Path(trace).exists()


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "evil"}},
        {"module": "os", "class_name": "system", "config": "id"},
        {"module": "keras.src.saving.saving_lib", "class_name": "load_model", "config": {}},
        {"module": "keras.utils", "class_name": "get_file", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": None, "class_name": "__lambda__", "config": {}},
        {"module": 3, "class_name": "Dense", "config": {}},
        {"module": "keraslike.layers", "class_name": "Dense", "config": {}},
    ],
    ids=lambda layer: layer["class_name"],
)
def test_classes_that_are_not_keras_own(tmp_path, file, layer):
    path = tmp_path / "crafted.keras"
    with zipfile.ZipFile(file) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"].append(layer)
                content = json.dumps(config)
            bad.writestr(name, content)
    refuse(
        path,
        f"Received: {layer['class_name']} in .*crafted.keras.*takes a model with your own code",
    )


def test_files_that_are_no_models(tmp_path, file):
    refuse(tmp_path / "none.keras", r"data.encoder: no such file. Received: .*none.keras")
    path = tmp_path / "bad.keras"
    path.write_text("hello")
    refuse(path, r"a model that keras.Model.save wrote .*bad.keras' \(BadZipFile")
    with zipfile.ZipFile(path, "w") as bad:
        bad.writestr("config.json", "[]")
    refuse(path, "a model that keras.Model.save wrote")
    shutil.copy(file, path)
    with zipfile.ZipFile(path, "a") as bad:
        bad.writestr("assets/vocabulary.txt", "a")
    refuse(
        path,
        r"of config.json, metadata.json, model.weights.h5 alone. .*'assets/vocabulary.txt'",
    )
    shutil.copy(file, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuse(path, "a model that keras.Model.save wrote")
