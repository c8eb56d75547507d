"""`model.sql`: one SELECT that scores the rows of a table in a database, in the SQL of PostgreSQL and DuckDB.

It reads the raw columns and adds to them P(class) of each class, and the class. Both are NULL where a row has
no answer. A comment has label, feature_names, class_names and threshold as JSON. Each step is a subselect of
its own (LATERAL), whose names nothing else can have:

    given: the columns' values: numbers as n0, n1, ..., NULL where missing; words as w0, w1, ..., '' for NULL.
    logits: z0, z1, ...; answered: the same, NULL where one of a row's is not finite.
    odds: e0, e1, ..., the probabilities but for a factor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.export import terms
from tf_logreg.tables.schema import Column

_NESTED = 50  # numbers that are added in one pair of brackets: databases limit how deep brackets may go
_LARGEST = "700e0"  # of an exponential: beyond it PostgreSQL refuses. Probabilities below 1e-304 are 1e-304


def content(model: Any) -> bytes:
    """The file of a `Model`.

    Raises:
        InputError: a column is hashed or a text, or two features of a model of arrays have one name.
    """
    if model.schema is None:
        terms.check_names(model.feature_names, "sql")
    found = terms.terms_of(model)
    for term in found:
        if isinstance(term, terms.Hashes):
            _refuse(term)
    given = _Given()
    logits = {
        f"z{k}": _sum(
            [_literal(bias), *filter(None, (_WRITERS[type(term)](term, k, given) for term in found))]
        )
        for k, bias in enumerate(model.bias)
    }
    steps = {"given": given.columns} if given.columns else {}
    steps |= {"logits": logits, **_answers(model)}
    laterals = [
        f"CROSS JOIN LATERAL (SELECT\n  {_listed(step)}\n) AS {name}\n" for name, step in steps.items()
    ]
    head = "-- P(class) of each class, and the class, of the rows of a table, by a model of tf_logreg.\n"
    head += "-- Put the name of your table in the place of new_rows.\n"
    head += f"-- {json.dumps(terms.names_of(model), ensure_ascii=False)}\n"
    return f"{head}SELECT r.*, answers.*\nFROM new_rows AS r\n{''.join(laterals)}".encode()


def _refuse(term: terms.Hashes) -> None:
    """InputError for a hashed column, cross or text."""
    name = " x ".join(column.name for column in term.columns)
    kind = "a text" if term.is_text else "hashed"
    ways = "leave it out (ignore)" if term.is_text else "make it categorical"
    raise InputError(
        f"format: expected no hashes for 'sql', as databases don't have TensorFlow's. Received: {name!r}, "
        f"{kind}. With data.columns or data.crosses {ways} and train again, or take 'json' or 'onnx'."
    )


class _Given:
    """The values of columns, as they are asked for.

    Attributes:
        columns: by name, as n0 or w0, the expression.
    """

    def __init__(self) -> None:
        self.columns: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}

    def number(self, column: Column) -> str:
        """The column's number, NULL where it is missing, NaN or infinite."""
        raw = f"r.{_name(column.name)}"
        if column.type == "date":
            x = f"(EXTRACT(EPOCH FROM {raw}) / 86400e0)"
        elif column.type == "boolean":
            x = f"CASE WHEN {raw} THEN 1e0 WHEN NOT {raw} THEN 0e0 END"
            return self._added("n", column, x)
        else:
            x = f"CAST({raw} AS DOUBLE PRECISION)"
        return self._added("n", column, f"CASE WHEN {x} - {x} = 0 THEN {x} END")

    def word(self, column: Column) -> str:
        """The column's word, '' where it is missing; of numbers the number as it is, or NULL."""
        raw = f"r.{_name(column.name)}"
        if column.type in ("integer", "number"):
            text = f"CASE WHEN {raw} - {raw} = 0 THEN {raw} END"
        elif column.type == "boolean":
            truth = f"CAST({raw} AS BOOLEAN)"
            text = f"CASE WHEN {truth} THEN 'true' WHEN NOT {truth} THEN 'false' ELSE '' END"
        else:
            text = f"COALESCE(CAST({raw} AS VARCHAR), '')"
        return self._added("w", column, text)

    def _added(self, letter: str, column: Column, expression: str) -> str:
        key = letter, column.name
        if key not in self._names:
            name = f"{letter}{len(self.columns)}"
            self._names[key], self.columns[name] = name, expression
        return f"given.{self._names[key]}"


def _number(term: terms.Number, k: int, given: _Given) -> str:
    weight, missing = term.weights[k], term.missing
    if missing is not None and not weight and not missing[k]:
        return ""
    x = given.number(term.column)
    if term.is_log:
        x = f"CASE WHEN {x} > -1 THEN LN(1e0 + {x}) END"
    elif term.shift:
        x = f"({x} - {_literal(term.shift)})"
    product = f"{_literal(weight)} * {x}"
    return product if missing is None else f"COALESCE({product}, {_literal(missing[k])})"


def _buckets(term: terms.Buckets, k: int, given: _Given) -> str:
    x = given.number(term.column)
    below = [
        f"WHEN {x} < {_literal(edge)} THEN {_literal(weight)}"
        for edge, weight in zip(term.edges, term.weights[:-1, k], strict=True)
    ]
    missing = f"WHEN {x} IS NULL THEN {_literal(term.missing[k])}"
    return f"CASE {' '.join([missing, *below])} ELSE {_literal(term.weights[-1, k])} END"


def _levels(term: terms.Levels, k: int, given: _Given) -> str:
    words = [given.word(column) for column in term.columns]
    cases = []
    levels = {(level,): weights for level, weights in term.levels.items()}
    for some, weights in (terms.pairs_of(term) if len(words) == 2 else levels).items():
        if weights[k] == term.other[k]:
            continue
        conditions = [_equals(*one) for one in zip(term.columns, words, some, strict=True)]
        if all(conditions):
            cases.append(f"WHEN {' AND '.join(conditions)} THEN {_literal(weights[k])}")
    other = _literal(term.other[k])
    if cases:
        return f"CASE {' '.join(cases)} ELSE {other} END"
    return other if term.other[k] else ""


def _equals(column: Column, given: str, word: str) -> str:
    """The condition that a column has a word; '' where no value of its type is written so."""
    if column.type not in ("integer", "number"):
        return f"{given} = {_text(word)}"
    if word == terms.MISSING:
        return f"{given} IS NULL"
    number = terms.whole_number(word)
    return "" if number is None else f"{given} = {number}"


_WRITERS = {terms.Number: _number, terms.Buckets: _buckets, terms.Levels: _levels}


def _answers(model: Any) -> dict[str, dict[str, str]]:
    """By step its expressions, from the logits on."""
    count, classes = model.head.outputs, range(len(model.class_names))
    finite = " AND ".join(f"logits.z{k} - logits.z{k} = 0" for k in range(count))
    steps = {"answered": {f"z{k}": f"CASE WHEN {finite} THEN logits.z{k} END" for k in range(count)}}
    z = [f"answered.z{k}" for k in range(count)]
    logs = z
    if model.head.kind == "sigmoid":
        steps["odds"] = {"e0": f"EXP({_clipped(z[0])})"}
        shares = ["1e0 / (1e0 + odds.e0)", "1e0 / (1e0 + 1e0 / odds.e0)"]
        log_odds, best = z[0], [f"NOT {z[0]} > 0", f"{z[0]} > 0"]
    else:
        if model.head.is_one_vs_rest:
            steps["logs"] = {f"z{k}": _log_sigmoid(z[k]) for k in classes}
            logs = [f"logs.z{k}" for k in classes]
        steps["largest"] = {"z": f"GREATEST({', '.join(z)})", "log": f"GREATEST({', '.join(logs)})"}
        steps["odds"] = {f"e{k}": f"EXP({_clipped(f'{logs[k]} - largest.log')})" for k in classes}
        steps["total"] = {"e": _sum([f"odds.e{k}" for k in classes])}
        shares = [f"odds.e{k} / total.e" for k in classes]
        log_odds, best = f"{logs[1]} - {logs[0]}", [f"{one} = largest.z" for one in z]
    if model.cut is not None:
        above = (
            f"{log_odds} > {_literal(model.cut)}" if math.isfinite(model.cut) else f"{model.cut < 0}".upper()
        )
        best = [f"NOT ({above})", above]
    known = {one.lower() for one in _columns(model)}
    names = [_free(f"P({name})", known) for name in model.class_names]
    cases = " ".join(
        f"WHEN {one} THEN {_text(name)}" for one, name in zip(best, model.class_names, strict=True)
    )
    steps["answers"] = {_name(name): share for name, share in zip(names, shares, strict=True)}
    steps["answers"][_name(_free("class", known))] = f"CASE WHEN {z[0]} IS NULL THEN NULL {cases} END"
    return steps


def _columns(model: Any) -> Iterable[str]:
    """Names that the columns of a table may have."""
    if model.schema is None:
        return model.feature_names
    return [*(column.name for column in model.schema.columns), model.schema.label]


def _free(name: str, taken: set[str]) -> str:
    """The name, with '_' behind it where it is taken."""
    while name.lower() in taken:
        name += "_"
    taken.add(name.lower())
    return name


def _clipped(x: str) -> str:
    """x, but within what an exponential takes; NULL stays."""
    return f"CASE WHEN {x} > {_LARGEST} THEN {_LARGEST} WHEN {x} < -{_LARGEST} THEN -{_LARGEST} ELSE {x} END"


def _log_sigmoid(z: str) -> str:
    """The logarithm of the sigmoid, without exponentials of large numbers."""
    return f"CASE WHEN {z} < 0 THEN {z} ELSE 0e0 END - LN(1e0 + EXP({_clipped(f'-ABS({z})')}))"


def _sum(parts: list[str]) -> str:
    """The sum of expressions, a line each."""
    while len(parts) > _NESTED:
        parts = [f"({_sum(parts[at : at + _NESTED])})" for at in range(0, len(parts), _NESTED)]
    return "\n    + ".join(parts)


def _listed(step: dict[str, str]) -> str:
    """Expressions with their names."""
    return ",\n  ".join(f"{expression} AS {name}" for name, expression in step.items())


def _name(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    """A quoted text."""
    return "'" + text.replace("'", "''") + "'"


def _literal(value: float | np.floating) -> str:
    """A number with an exponent: without one databases read a decimal of few digits."""
    found = repr(float(value))
    return found if "e" in found else f"{found}e0"
