"""The formats that a model is written in, by name. A module is imported when its format is asked for."""

from __future__ import annotations

import os
from typing import Any

from tf_logreg import storage
from tf_logreg.errors import InputError

# The file of each format in a work directory; that of the SavedModel is a folder.
FILES = {
    "saved_model": "export",
    "onnx": "model.onnx",
    "tflite": "model.tflite",
    "json": "model.json",
    "sql": "model.sql",
}


def content(model: Any, name: str) -> bytes:
    """A `Model` in a format that is one file.

    Raises:
        InputError: no such format, a package that it needs is missing, or it cannot express the model.
    """
    if name == "onnx":
        from tf_logreg.export import onnx_file

        return onnx_file.content(model)
    if name == "tflite":
        from tf_logreg.export import tflite_file

        return tflite_file.content(model)
    if name == "json":
        from tf_logreg.export import json_file

        return json_file.content(model)
    if name == "sql":
        from tf_logreg.export import sql_file

        return sql_file.content(model)
    raise InputError(f"format: expected {', '.join(FILES)}. Received: {name!r}.")


def write(model: Any, path: str, name: str) -> None:
    """Writes a `Model`.

    Args:
        model: the model.
        path: a folder for the SavedModel, else a file; created or replaced.
        name: one of `FILES`.

    Raises:
        InputError: as `content`, or the file cannot be written.
        OSError: the folder cannot be written.
    """
    path = os.fspath(path)
    folder, file = os.path.split(storage.path_or_address(path, "path"))
    folder = storage.Folder(folder or ".", "path")
    if name != "saved_model":
        folder.write(file, content(model, name))
        return
    from tf_logreg.export import saved_model

    def save(where: str) -> None:
        saved_model.save(saved_model.serving_module(model), where)

    if storage.is_address(path):
        folder.publish(file, save, saved_model.MARKER)
    else:
        save(path)
