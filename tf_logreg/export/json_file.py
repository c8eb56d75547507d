"""`model.json`: a model as numbers and words that any program can score.

    {"format": "tf_logreg scores", "version": 1,
     "label": "animal", "class_names": ["cat", "dog"], "threshold": null, "feature_names": [...],
     "output": "sigmoid", "bias": [-0.3],
     "terms": [
      {"kind": "number", "column": "age", "type": "number", "is_log": false, "shift": 0.0, "weights": [0.02],
       "missing": [0.11]},
      {"kind": "buckets", "column": "size", "type": "number", "edges": [1.5, 3.0],
       "weights": [[0.1], [0.0], [-0.2]], "missing": [0.0]},
      {"kind": "levels", "columns": ["coat"], "levels": {"short": [0.4], "": [0.0]}, "other": [-0.2]},
      {"kind": "hashes", "columns": ["zip"], "input": "zip bucket", "buckets": 1000, "is_text": false,
       "weights": {"17": [0.7]}}]}

`terms.py` says what each adds. In a list of weights there is one number for each logit: one of a sigmoid,
else one a class. `missing` is null where a row without the number has no answer. Levels of a cross are two
words with U+001F between them; a missing value is the word ''. A bucket that is not there adds nothing.
docs/serving.md has a program that scores rows by it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tf_logreg.export import terms

FORMAT, VERSION = "tf_logreg scores", 1


def content(model: Any) -> bytes:
    """The file of a `Model`.

    Raises:
        InputError: two features of a model of arrays have one name.
    """
    if model.schema is None:
        terms.check_names(model.feature_names, "json")
    found = {
        "format": FORMAT,
        "version": VERSION,
        **terms.names_of(model),
        "output": model.head.kind,
        "bias": model.bias.tolist(),
        "terms": [_WRITERS[type(term)](term) for term in terms.terms_of(model)],
    }
    return (json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _number(term: terms.Number) -> dict[str, Any]:
    return {
        "kind": "number",
        "column": term.column.name,
        "type": term.column.type,
        "is_log": term.is_log,
        "shift": float(term.shift),
        "weights": term.weights.tolist(),
        "missing": None if term.missing is None else term.missing.tolist(),
    }


def _buckets(term: terms.Buckets) -> dict[str, Any]:
    return {
        "kind": "buckets",
        "column": term.column.name,
        "type": term.column.type,
        "edges": list(term.edges),
        "weights": term.weights.tolist(),
        "missing": term.missing.tolist(),
    }


def _levels(term: terms.Levels) -> dict[str, Any]:
    return {
        "kind": "levels",
        "columns": [column.name for column in term.columns],
        "levels": {word: weights.tolist() for word, weights in term.levels.items()},
        "other": term.other.tolist(),
    }


def _hashes(term: terms.Hashes) -> dict[str, Any]:
    used = np.flatnonzero(term.weights.any(axis=1)).tolist()
    return {
        "kind": "hashes",
        "columns": [column.name for column in term.columns],
        "input": term.input,
        "buckets": len(term.weights),
        "is_text": term.is_text,
        "weights": {str(bucket): term.weights[bucket].tolist() for bucket in used},
    }


_WRITERS = {terms.Number: _number, terms.Buckets: _buckets, terms.Levels: _levels, terms.Hashes: _hashes}
