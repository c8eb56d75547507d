"""`model.onnx`: raw columns or features in; logits, probabilities, class_id and class_name out.

A model of arrays takes `features` [N, p], one of sparse rows `ids` int64 and `values` [N, k], as its
SavedModel does, and computes in the model's dtype. One of a table takes its columns [N] by the names of the
SavedModel's inputs: numbers, and dates as days since 1970, are double, NaN where missing; words are string,
'' where missing. It computes in double. Hashes have inputs of their own: `terms.Hashes.input` with '_' for
blanks, int64 [N] or, of a text, [N, k]; -1 stands for a missing value, and behind the last word of a text.

Where a logit is not finite probabilities are NaN, class_id is -1 and class_name ''. The file's metadata has
label, feature_names, class_names, threshold and, of a table, schema, each as JSON.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.export import terms
from tf_logreg.tables import schema_file
from tf_logreg.tables.schema import Column

_OPSET, _ML_OPSET, _IR_VERSION = 18, 4, 9  # of ONNX 1.15, 2023: LabelEncoder takes any types since then


def content(model: Any) -> bytes:
    """The file of a `Model`.

    Raises:
        InputError: the package onnx is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise InputError(
            "format: expected the package onnx, which writes 'onnx'. Received: it is not installed; install "
            "it with pip install 'tf_logreg[onnx]' or pip install onnx."
        )
    graph = _Graph(np.dtype(model.dtype if model.schema is None else "float64"))
    logits = _logits(model, graph) if model.schema is None else _logits_of_columns(model, graph)
    _answer(model, graph, logits)
    return graph.file(_metadata(model))


def _metadata(model: Any) -> dict[str, str]:
    """What the file says about itself, each as JSON."""
    found = terms.names_of(model)
    if model.schema is not None:
        found["schema"] = schema_file.to_json(model.schema)
    return {name: json.dumps(value, ensure_ascii=False) for name, value in found.items()}


class _Graph:
    """Nodes and constants as they are added.

    Attributes:
        dtype: of numbers.
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._nodes, self._constants, self._inputs, self._outputs = [], [], {}, []

    def add(self, operation: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node of one output; its name."""
        from onnx import helper

        name = f"{operation.lower()}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operation, inputs, [name], name=name, domain=domain, **attributes)
        )
        return name

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Adds an array; its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype or self.dtype), name))
        return name

    def input(self, name: str, dtype: Any, shape: tuple) -> str:
        """Adds an input, once; its name."""
        from onnx import helper

        self._inputs[name] = helper.make_tensor_value_info(name, _type(dtype), shape)
        return name

    def output(self, name: str, value: str, dtype: Any, shape: tuple) -> None:
        """Has a value as an output."""
        from onnx import helper

        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(helper.make_tensor_value_info(name, _type(dtype), shape))

    def encoded(self, given: str, keys: list, of: Any) -> str:
        """Adds what gives the place of each value among the keys, len(keys) of others: int64."""
        from onnx import numpy_helper

        arrays = {
            "keys": np.array(keys, of),
            "values": np.arange(len(keys)),
            "default": np.array([len(keys)]),
        }
        return self.add(
            "LabelEncoder",
            given,
            domain="ai.onnx.ml",
            **{f"{name}_tensor": numpy_helper.from_array(array, name) for name, array in arrays.items()},
        )

    def file(self, metadata: dict[str, str]) -> bytes:
        """The model's bytes."""
        from onnx import checker, helper

        graph = helper.make_graph(
            self._nodes, "logistic_regression", list(self._inputs.values()), self._outputs, self._constants
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        model = helper.make_model(graph, producer_name="tf_logreg", opset_imports=opsets)
        model.ir_version = _IR_VERSION
        helper.set_model_props(model, metadata)
        checker.check_model(model)
        return model.SerializeToString()


def _type(dtype: Any) -> int:
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _logits(model: Any, graph: _Graph) -> str:
    """Logits [N, m] of features, or of ids and values."""
    count = len(model.kernel)
    if not model.sparse:
        features = graph.input("features", graph.dtype, ("N", count))
        return graph.add(
            "Add", graph.add("MatMul", features, graph.constant(model.kernel)), graph.constant(model.bias)
        )
    ids, values = (
        graph.input(name, dtype, ("N", "k")) for name, dtype in (("ids", np.int64), ("values", graph.dtype))
    )
    rows = graph.add(
        "Gather", graph.constant(np.vstack([model.kernel, 0 * model.kernel[:1]])), _known(graph, ids, count)
    )
    is_known = graph.add("Less", _known(graph, ids, count), graph.constant(count, np.int64))
    values = graph.add(
        "Where", is_known, values, graph.constant(0)
    )  # a NaN beside an unknown id counts as nothing
    product = graph.add("Mul", rows, graph.add("Unsqueeze", values, graph.constant([2], np.int64)))
    total = graph.add("ReduceSum", product, graph.constant([1], np.int64), keepdims=0)
    return graph.add("Add", total, graph.constant(model.bias))


def _known(graph: _Graph, ids: str, count: int) -> str:
    """Ids from 0 to count - 1 as they are; count for all others."""
    low, high = graph.constant(0, np.int64), graph.constant(count, np.int64)
    inside = graph.add("And", graph.add("GreaterOrEqual", ids, low), graph.add("Less", ids, high))
    return graph.add("Where", inside, ids, high)


def _logits_of_columns(model: Any, graph: _Graph) -> str:
    """Logits [N, m] of the columns of a table."""
    found = terms.terms_of(model)
    given = _Given(graph, terms.input_names(model.schema, found))
    parts = [_WRITERS[type(term)](term, given, graph) for term in found]
    return graph.add("Sum", graph.constant(model.bias[None, :]), *parts)


class _Given:
    """The values of columns.

    Attributes:
        graph: where they are added.
        names: of the inputs, by column or `terms.Hashes.input`.
    """

    def __init__(self, graph: _Graph, names: dict[str, str]) -> None:
        self.graph, self.names = graph, names

    def number(self, column: Column) -> tuple[str, str]:
        """The column's numbers [N], and which are missing: NaN or infinite."""
        x = self.graph.input(self.names[column.name], np.float64, ("N",))
        return x, self.graph.add("Or", self.graph.add("IsNaN", x), self.graph.add("IsInf", x))

    def place(self, column: Column, words: list[str]) -> str:
        """The place of each word [N] among some, len(words) of others; a missing value is `terms.MISSING`."""
        if not column.is_number:
            return self.graph.encoded(
                self.graph.input(self.names[column.name], object, ("N",)), words, object
            )
        x, missing = self.number(column)
        numbers = [terms.number_of(column, word) for word in words]
        known = [place for place, number in enumerate(numbers) if number is not None]
        if column.type == "boolean":
            x = self.graph.add("Cast", self.graph.add("Cast", x, to=_type(bool)), to=_type(np.float64))
        at = self.graph.encoded(x, [numbers[place] for place in known], np.float64)
        at = self.graph.add("Gather", self.graph.constant([*known, len(words)], np.int64), at)
        empty = words.index(terms.MISSING) if terms.MISSING in words else len(words)
        return self.graph.add("Where", missing, self.graph.constant(empty, np.int64), at)


def _number(term: terms.Number, given: _Given, graph: _Graph) -> str:
    x, missing = given.number(term.column)
    if term.is_log:
        known = graph.add("Greater", x, graph.constant(-1))
        missing = graph.add("Or", missing, graph.add("Not", known))
        x = graph.add(
            "Log", graph.add("Add", graph.add("Where", known, x, graph.constant(0)), graph.constant(1))
        )
    elif term.shift:
        x = graph.add("Sub", x, graph.constant(term.shift))
    x, missing = (graph.add("Unsqueeze", one, graph.constant([1], np.int64)) for one in (x, missing))
    product = graph.add("Mul", x, graph.constant(term.weights[None, :]))
    return graph.add("Where", missing, graph.constant(term.missing[None, :]), product)


def _buckets(term: terms.Buckets, given: _Given, graph: _Graph) -> str:
    x, missing = given.number(term.column)
    x = graph.add("Unsqueeze", x, graph.constant([1], np.int64))
    passed = graph.add("GreaterOrEqual", x, graph.constant(np.array(term.edges)[None, :]))
    passed = graph.add("Cast", passed, to=_type(np.int64))
    bucket = graph.add("ReduceSum", passed, graph.constant([1], np.int64), keepdims=0)
    bucket = graph.add("Where", missing, graph.constant(len(term.edges) + 1, np.int64), bucket)
    return graph.add("Gather", graph.constant(np.vstack([term.weights, term.missing])), bucket)


def _levels(term: terms.Levels, given: _Given, graph: _Graph) -> str:
    if len(term.columns) == 1:
        place = given.place(term.columns[0], list(term.levels))
        return graph.add("Gather", graph.constant(np.array([*term.levels.values(), term.other])), place)
    pairs = terms.pairs_of(term)
    first, second = (list(dict.fromkeys(pair[k] for pair in pairs)) for k in (0, 1))
    count = len(second) + 1
    places = [given.place(column, words) for column, words in zip(term.columns, (first, second), strict=True)]
    both = graph.add("Add", graph.add("Mul", places[0], graph.constant(count, np.int64)), places[1])
    keys = [first.index(a) * count + second.index(b) for a, b in pairs]
    return graph.add(
        "Gather", graph.constant(np.array([*pairs.values(), term.other])), graph.encoded(both, keys, np.int64)
    )


def _hashes(term: terms.Hashes, given: _Given, graph: _Graph) -> str:
    name, count = given.names[term.input], len(term.weights)
    buckets = graph.input(name, np.int64, ("N", f"{name}_words") if term.is_text else ("N",))
    weights = graph.constant(np.vstack([term.weights, 0 * term.weights[:1]]))
    found = graph.add("Gather", weights, _known(graph, buckets, count))
    return graph.add("ReduceSum", found, graph.constant([1], np.int64), keepdims=0) if term.is_text else found


_WRITERS = {terms.Number: _number, terms.Buckets: _buckets, terms.Levels: _levels, terms.Hashes: _hashes}


def _answer(model: Any, graph: _Graph, logits: str) -> None:
    """Adds the outputs, from logits [N, m]."""
    classes, outputs = len(model.class_names), model.head.outputs
    axis = graph.constant([1], np.int64)
    bad = graph.add("Or", graph.add("IsNaN", logits), graph.add("IsInf", logits))
    bad = graph.add("ReduceMax", graph.add("Cast", bad, to=_type(np.int32)), axis, keepdims=1)
    bad = graph.add("Cast", bad, to=_type(bool))  # [N, 1]
    clean = graph.add("Where", bad, graph.constant(0), logits)
    logs = clean
    if model.head.is_one_vs_rest:
        logs = graph.add("Neg", graph.add("Softplus", graph.add("Neg", clean)))  # log sigmoids
    if outputs == 1:
        both = graph.add("Concat", graph.add("Neg", clean), clean, axis=1)
        probabilities = graph.add("Sigmoid", both)
    else:
        probabilities = graph.add("Softmax", logs, axis=1)
    answered = graph.add("Where", bad, graph.constant(np.nan), probabilities)
    if outputs > 1 and model.cut is None:
        class_id = graph.add("ArgMax", clean, axis=1, keepdims=0)
    else:
        odds = clean if outputs == 1 else graph.add("MatMul", logs, graph.constant([[-1.0], [1.0]]))
        odds = graph.add("Squeeze", graph.add("Cast", odds, to=_type(np.float64)), axis)
        above = graph.add("Greater", odds, graph.constant(model.cut or 0.0, np.float64))
        class_id = graph.add("Cast", above, to=_type(np.int64))
    none = graph.add("Squeeze", bad, axis)
    class_id = graph.add("Where", none, graph.constant(-1, np.int64), class_id)
    names = graph.constant([*model.class_names, ""], object)
    graph.output("logits", logits, graph.dtype, ("N", outputs))
    graph.output("probabilities", answered, graph.dtype, ("N", classes))
    graph.output("class_id", class_id, np.int64, ("N",))
    graph.output("class_name", graph.add("Gather", names, class_id), object, ("N",))
