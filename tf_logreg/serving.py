"""A client of a model on TensorFlow Serving, by its REST interface; it imports no TensorFlow.

The server has one of our SavedModels: `tensorflow_model_server --rest_api_port=8501 --model_name=pets
--model_base_path=/path/of/runs/pets/export`, with versions by --mode=export --version=1.
"""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np

from tf_logreg.errors import InputError, RunError
from tf_logreg.tables import encoding, frames, served_names
from tf_logreg.tables.schema import Column, Schema


@dataclasses.dataclass(frozen=True)
class Client:
    """A model on a server.

    Attributes:
        url: 'http://localhost:8501/v1/models/pets'; '/versions/3' may follow.
        schema: of a table, `Model.schema`; None for a model of arrays.
        timeout: seconds to wait for an answer.
    """

    url: str
    schema: Schema | None = None
    timeout: float = 60.0

    def predict(self, rows: Any, *, by_rows: bool = False) -> dict[str, np.ndarray]:
        """The answers of `serving_default`.

        Args:
            rows: a frame of raw columns, as `Model.predict` takes it; of a model of arrays [n, p].
            by_rows: send a JSON object a row ('instances'), not a list a column ('inputs'), which is shorter.

        Returns:
            logits [n, m], probabilities [n, C], class_id [n] and class_name [n].

        Raises:
            InputError: a used column is missing, or holds another type than in training.
            RunError: the server cannot be reached, or refuses the rows.
        """
        inputs = self._inputs(rows)
        if not by_rows:
            found = self._answer("predict", {"inputs": inputs})["outputs"]
        else:
            instances = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
            answers = self._answer("predict", {"instances": instances})["predictions"]
            found = {name: [one[name] for one in answers] for name in answers[0]}
        return {name: np.array(values) for name, values in found.items()}

    def classify(self, rows: Any) -> tuple[tuple[str, ...], np.ndarray]:
        """Names of the classes, C of them, and their probabilities [n, C], by tf.Examples.

        Numbers are sent with the digits of float32. Args and errors are those of `predict`. A model of a
        table alone has this.
        """
        if self.schema is None:
            raise InputError("schema: expected that of a table for `classify`. Received: None.")
        table = frames.table_of(rows).columns
        encoding.check_columns(self.schema, table.column_names)
        columns = {column.name: _feature(column, table) for column in self.schema.used}
        examples = [
            {name: value for name, value in zip(columns, row, strict=True) if value is not None}
            for row in zip(*columns.values(), strict=True)
        ]
        answer = self._answer("classify", {"signature_name": "classify", "examples": examples})
        found = answer.get("results") or answer["result"]  # it is 'result' in the documents of the server
        names = tuple(name for name, _ in found[0])
        return names, np.array([[score for _, score in one] for one in found])

    def _inputs(self, rows: Any) -> dict[str, list]:
        """By input its values, of all rows."""
        if self.schema is None:
            return {"features": np.asarray(rows).tolist()}
        table = frames.table_of(rows).columns
        encoding.check_columns(self.schema, table.column_names)
        names = served_names.of(column.name for column in self.schema.used)
        return {names[column.name]: _values(column, table) for column in self.schema.used}

    def _answer(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        """What the server answers; NaN is a number in its JSON and in ours.

        Raises:
            RunError: it cannot be reached, or refuses the request.
        """
        data, address = json.dumps(request).encode(), f"{self.url}:{verb}"
        header = {"Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(address, data, header), timeout=self.timeout
            ) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            why = error.read().decode(errors="replace")[:500]
        except (OSError, ValueError) as error:
            why = str(error)
        raise RunError(f"url: expected an answer of TensorFlow Serving. Received: {why} from {address!r}.")


def _values(column: Column, table: Any) -> list:
    """Numbers, NaN where missing, or words, '' where missing."""
    if column.is_number:
        return encoding.numbers_of(table, column).tolist()
    code, words = encoding.words_of(table, column)
    return [words[place] if place >= 0 else "" for place in code.tolist()]


def _feature(column: Column, table: Any) -> list:
    """What a tf.Example has: whole numbers, numbers as float32 holds them, or words; None where missing."""
    values = _values(column, table)
    if not column.is_number:
        return [word or None for word in values]
    if column.type in ("integer", "boolean"):
        return [None if np.isnan(value) else int(value) for value in values]
    return [None if np.isnan(value) else float(np.float32(value)) for value in values]
