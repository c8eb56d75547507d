"""A model as a bias and a sum of terms: what each column of a table adds to the logits.

`tables/kinds.py` says what a column becomes. Here its features are multiplied by their coefficients, once for
all formats: reference levels, 'other', 'is missing' and the order of the features are gone, and four kinds
of terms remain. JSON, SQL, ONNX and LiteRT each write these four.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.tables import kinds, served_names
from tf_logreg.tables.schema import Column, Cross, Schema

MISSING = ""  # the word for a missing value


@dataclasses.dataclass(frozen=True, eq=False)
class Number:
    """A number x adds `weights` f(x): f(x) is x - shift, or log(1 + x), which needs x > -1.

    Attributes:
        column: where x is: days since 1970 of a date.
        weights: [m].
        missing: [m], what a missing number adds, as does one without a logarithm; None: such a row has no
            answer.
        is_log: whether f is the logarithm.
        shift: 0 but of dates.
        mean: of f(x) in the training rows, about; formats of few digits count from there.
    """

    column: Column
    weights: np.ndarray
    missing: np.ndarray | None
    is_log: bool = False
    shift: float = 0.0
    mean: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Buckets:
    """A number adds the weights of its bucket, which is the number of edges that are at most x.

    Attributes:
        column: where x is.
        edges: ascending, k of them.
        weights: [k + 1, m].
        missing: [m], what a missing number adds.
    """

    column: Column
    edges: tuple[float, ...]
    weights: np.ndarray
    missing: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Levels:
    """A word, or a pair of words, adds the weights of its level.

    Attributes:
        columns: one, or two of a cross.
        levels: by word its weights [m]. A pair is two words joined by `kinds.JOINT`.
        other: [m], what any other word adds.

    A missing value is the word `MISSING`: it has a level of its own, but in pairs, where it may have none.
    """

    columns: tuple[Column, ...]
    levels: dict[str, np.ndarray]
    other: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Hashes:
    """A word, a pair, or each word of a text adds the weights of its hash; a missing value adds nothing.

    Other programs do not have TensorFlow's hash, so rows come with it: `input` is the bucket, or the
    buckets of a text, counted from 0.

    Attributes:
        columns: one, or two of a cross.
        weights: [buckets, m].
        is_text: whether there are several.
    """

    columns: tuple[Column, ...]
    weights: np.ndarray
    is_text: bool = False

    @property
    def input(self) -> str:
        """'zip bucket', 'city x zip bucket', or 'note buckets' of a text."""
        return " x ".join(one.name for one in self.columns) + (" buckets" if self.is_text else " bucket")


Term = Number | Buckets | Levels | Hashes


def terms_of(model: Any) -> list[Term]:
    """The terms of a `Model`, in the order of its columns and crosses.

    Of a model of arrays each feature is a number, by its name. Features of sparse rows may be absent, and
    those without a coefficient have no term.

    Raises:
        InputError: a column is called as the input of a hash is.
    """
    if model.schema is None:
        return _of_features(model)
    found, start = [], 0
    for piece in (*model.schema.columns, *model.schema.crosses):
        count = len(piece.features)
        if count:
            found.append(_of_piece(piece, model.schema, model.kernel[start : start + count]))
        start += count
    for term in found:
        if isinstance(term, Hashes) and term.input in {column.name for column in model.schema.used}:
            raise InputError(
                f"format: expected no column that is called {term.input!r}, as the input of a hash is. "
                "Received: one; rename it and train again, or take 'saved_model'."
            )
    return found


def _of_features(model: Any) -> list[Term]:
    """The terms of a model of arrays."""
    missing = np.zeros(model.head.outputs) if model.sparse else None
    return [
        Number(Column(name, "number", kinds.Numeric()), weights, missing)
        for name, weights in zip(model.feature_names, model.kernel, strict=True)
        if not model.sparse or weights.any()
    ]


def _of_piece(piece: Column | Cross, schema: Schema, kernel: np.ndarray) -> Term:
    """The term of a column or cross with the rows of the kernel that are its features'."""
    kind = piece.kind
    columns = tuple(map(schema.column, piece.columns)) if isinstance(piece, Cross) else (piece,)
    if isinstance(kind, kinds.Numeric | kinds.Date):
        is_date = isinstance(kind, kinds.Date)
        shift, mean = (kind.mean, 0.0) if is_date else (0.0, kind.mean)
        missing = mean * kernel[0] + kernel[1:].sum(axis=0)  # the second feature is its indicator
        return Number(piece, kernel[0], missing, not is_date and kind.is_log, shift, mean)
    if isinstance(kind, kinds.Bucketized):
        count = len(kind.edges) + 1
        places = [*range(count), count if kind.has_missing else -1]
        weights = _rows(kernel, kinds.without(np.array(places), kind.reference))
        return Buckets(piece, kind.edges, weights[:-1], weights[-1])
    if isinstance(kind, kinds.Categorical):
        words, places = [*kind.levels], [*range(len(kind.levels)), kind.other]
        if len(columns) == 1:  # a pair with a missing word is a level as any other
            words, places = [*words, MISSING], [*places[:-1], kind.missing, places[-1]]
        *weights, other = _rows(kernel, kinds.without(np.array(places), kind.reference))
        return Levels(columns, dict(zip(words, weights, strict=True)), other)
    return Hashes(columns, kernel, isinstance(kind, kinds.Text))


def _rows(kernel: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows of the kernel, zeros for place -1."""
    return np.where(places[:, None] >= 0, kernel[places], 0.0)


def input_names(schema: Schema, some: list[Term]) -> dict[str, str]:
    """Names of the inputs of columns, the SavedModel's, and of hashes, by column or `Hashes.input`.

    Raises:
        InputError: there are none.
    """
    if not some:
        raise InputError("format: expected a model with features. Received: none; 'json' and 'sql' take it.")
    hashes = [term.input for term in some if isinstance(term, Hashes)]
    return served_names.of([*(column.name for column in schema.used), *hashes])


def pairs_of(term: Levels) -> dict[tuple[str, str], np.ndarray]:
    """By pair of words the weights of a cross; a level is several pairs if `kinds.JOINT` is in a word."""
    return {
        (level[:at], level[at + 1 :]): weights
        for level, weights in term.levels.items()
        for at, letter in enumerate(level)
        if letter == kinds.JOINT
    }


def number_of(column: Column, word: str) -> float | None:
    """The number that stands for a word in a column of numbers; None where float64 has none."""
    if column.type == "boolean":
        return {"true": 1.0, "false": 0.0}.get(word)
    found = whole_number(word)
    return None if found is None or abs(found) > 2**53 else float(found)


def whole_number(word: str) -> int | None:
    """The number that is written as this word; None where there is none."""
    try:
        found = int(word)
    except ValueError:
        return None
    return found if str(found) == word else None


def check_names(names: list[str], file_format: str) -> None:
    """InputError for a name that occurs twice, where a file has inputs by their names."""
    (name, count), *_ = collections.Counter(names).most_common(1) or [("", 0)]
    if count > 1:
        raise InputError(
            f"format: expected features of different names for {file_format!r}, whose rows have them by "
            f"name. Received: {count} that are called {name!r}; 'onnx' and 'saved_model' count columns."
        )


def names_of(model: Any) -> dict[str, Any]:
    """What every format carries: label, feature_names, class_names and threshold, None if there is none."""
    return {
        "label": model.schema.label if model.schema is not None else "",
        "feature_names": list(model.feature_names),
        "class_names": list(model.class_names),
        "threshold": model.threshold,
    }
