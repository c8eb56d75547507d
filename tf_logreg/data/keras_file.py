"""A user's `.keras` file -> its model, without running code.

Keras builds a model from the classes that the file names. Here these may only be Keras' own, and of them none
that holds code, or loads what does (a `Lambda` layer holds Python's bytes). Keras' own `safe_mode` looks
once more.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tf_logreg.errors import InputError, brief

if TYPE_CHECKING:
    import keras

_FILES = {"config.json", "metadata.json", "model.weights.h5"}  # of a .keras file without assets
_PARTS = {  # of Keras, whose classes compute and hold no code
    "activations", "applications", "constraints", "dtype_policies", "initializers", "layers", "losses",
    "metrics", "models", "ops", "optimizers", "quantizers", "random", "regularizers",
}  # fmt: skip
_WITH_CODE = {"FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"}
_VALUES = {"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"}


def load(path: str, field: str) -> keras.Model:
    """The model in a .keras file.

    Args:
        path: of the file.
        field: the flag or config field that named it, for messages.

    Raises:
        InputError: it is missing or damaged, holds no model, or would run code.
    """
    import keras

    with reading(path, field, "a model that keras.Model.save wrote to a .keras file"):
        with zipfile.ZipFile(path) as file:
            others = sorted(set(file.namelist()) - _FILES)
            config = json.loads(file.read("config.json"))
        if others:
            raise InputError(
                f"{field}: expected a .keras file of {', '.join(sorted(_FILES))} alone. Received: "
                f"{path!r} with {others[0]!r}."
            )
        _check_classes({key: part for key, part in config.items() if key != "compile_config"}, path, field)
        found = keras.saving.load_model(path, compile=False, safe_mode=True)
    if not isinstance(found, keras.Model):
        raise InputError(f"{field}: expected a model. Received: {path!r}, a {type(found).__name__}.")
    return found


def _check_classes(value: Any, path: str, field: str) -> None:
    """InputError at a class in a model's config that is not Keras' own, or holds code."""
    for part in value if isinstance(value, list) else ():
        _check_classes(part, path, field)
    if not isinstance(value, dict):
        return
    if "class_name" in value and not _is_safe(value):
        config = value.get("config")
        named = f" {config['name']!r}" if isinstance(config, dict) and "name" in config else ""
        raise InputError(
            f"{field}: expected layers whose code is in Keras, as a file must not run any. Received: "
            f"{value['class_name']}{named} in {path!r}. In Python tf_logreg.train(..., encoder=model) takes "
            "a model with your own code."
        )
    for part in value.values():
        _check_classes(part, path, field)


def _is_safe(value: dict) -> bool:
    """Whether a class that a config names is Keras' own, and holds no code."""
    name, module = value["class_name"], value.get("module")
    if module is None:
        return name in _VALUES
    if not isinstance(module, str) or name in _WITH_CODE:
        return False
    root, *parts = module.split(".")
    parts = parts[1:] if parts[:1] == ["src"] else parts
    return root == "keras" and (not parts or parts[0] in _PARTS)


@contextlib.contextmanager
def reading(path: str, field: str, expected: str) -> Iterator[None]:
    """Any error of Keras, HDF5 or zipfile as an InputError that names the file."""
    if not os.path.isfile(path):
        raise InputError(f"{field}: no such file. Received: {path!r}.")
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{field}: expected {expected}. Received: {path!r} ({type(error).__name__}: {brief(error)})."
        ) from None
