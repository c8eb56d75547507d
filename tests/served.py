"""The answers of a model by each of its formats: by NAME(model, rows, folder) -> probabilities and classes."""

import datetime
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import random_tables
import tensorflow as tf

from tf_logreg.export import terms
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.tables import kinds, words

GUIDE = Path(__file__).parents[1] / "docs" / "serving.md"


def dense(output, classes, seed=0):
    """A model of arrays with random weights, and rows."""
    random = np.random.default_rng(seed)
    head = Head(output, classes)
    model = Model(
        random.normal(size=(20, head.outputs)),
        random.normal(size=head.outputs),
        tuple(f"pixel {k}" for k in range(20)),
        ("a", "b", "it's", 'd"')[:classes],
        head,
    )
    return model, random.integers(0, 17, (1000, 20)) / 16


def buckets_of(model, rows):
    """By input the buckets of hashed columns, crosses and texts: a number or a list a row, None where missing."""
    values, found = random_tables.values_of(model.schema, rows), {}
    for term in terms.terms_of(model):
        if isinstance(term, terms.Hashes):
            texts = [["" if v is None else str(v) for v in values[one.name]] for one in term.columns]
            texts = [kinds.JOINT.join(pair) for pair in zip(*texts, strict=True)]
            if term.is_text:
                tokens = words.tokens_of(tf.constant(texts, tf.string))
                found[term.input] = words.hash_of(tokens, len(term.weights)).to_list()
            else:
                hashes = words.hash_of(tf.constant(texts, tf.string), len(term.weights)).numpy().tolist()
                found[term.input] = [h if text else None for h, text in zip(hashes, texts, strict=True)]
    return found


def block(first):
    """The block of docs/serving.md that begins with a line, without its margin."""
    text = re.search(rf"^    {re.escape(first)}(?:    .*\n|\n)*", GUIDE.read_text(), re.MULTILINE)[0]
    return re.sub("^    ", "", text, flags=re.MULTILINE)


def scorer():
    """`score` of docs/serving.md, by its very text."""
    text = block("import csv, datetime, json, math\n").partition("\nmodel = ")[0]
    assert len([line for line in text.splitlines() if line.strip()]) <= 30
    names = {}
    exec(text, names)
    return names["json"].loads, names["score"]


def python_rows(model, rows):
    """Rows as dicts of Python's own values, dates as text; and the buckets of words."""
    if model.schema is None:
        return [dict(zip(model.feature_names, row, strict=True)) for row in rows.tolist()]
    columns = {column.name: rows[column.name].to_pylist() for column in model.schema.used}
    for name, values in columns.items():
        columns[name] = [v.isoformat(" ") if isinstance(v, datetime.datetime) else v for v in values]
    columns |= buckets_of(model, rows)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def by_json(model, rows, folder):
    model.export(str(folder / "model.json"), format="json")
    loads, score = scorer()
    found = loads((folder / "model.json").read_text())
    answers = [score(found, row) for row in python_rows(model, rows)]
    none = [np.nan] * len(model.class_names)
    return np.array([p or none for p, _ in answers]), [name or "" for _, name in answers]


def by_sql(model, rows, folder):
    import duckdb

    model.export(str(folder / "model.sql"), format="sql")
    if model.schema is None:
        rows = pa.table({name: rows[:, k] for k, name in enumerate(model.feature_names)})
    new_rows = rows.append_column("row", pa.array(range(len(rows))))
    with duckdb.connect() as database:
        database.register("new_rows", new_rows)
        database.execute("SET max_expression_depth TO 100")  # a tenth of what is usual
        select = (folder / "model.sql").read_text()
        found = database.execute(f"SELECT * FROM ({select}) ORDER BY row")
        columns, found = [column[0] for column in found.description], found.fetchall()
    assert columns[: new_rows.num_columns] == new_rows.column_names
    names = columns[new_rows.num_columns :]
    assert [name.rstrip("_") for name in names] == [*(f"P({name})" for name in model.class_names), "class"]
    answers = [row[new_rows.num_columns :] for row in found]
    return np.array([row[:-1] for row in answers], np.float64), [row[-1] or "" for row in answers]


def numeric_inputs(model, rows):
    """Columns as `random_tables.inputs_of` has them, and buckets, -1 for none; by the names of the inputs."""
    found = {name: values.numpy() for name, values in random_tables.inputs_of(model.schema, rows).items()}
    buckets = buckets_of(model, rows)
    names = terms.input_names(model.schema, terms.terms_of(model))
    for name, given in buckets.items():
        if name.endswith("s"):
            most = max(map(len, given))
            given = [one + [-1] * (most - len(one)) for one in given]
        found[names[name]] = np.array([-1 if one is None else one for one in given], np.int64)
    return found


def by_onnx(model, rows, folder):
    import onnxruntime

    model.export(str(folder / "model.onnx"), format="onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    given = {"features": rows.astype(model.dtype)} if model.schema is None else numeric_inputs(model, rows)
    inputs = {one.name for one in session.get_inputs()}
    given = {name: values for name, values in given.items() if name in inputs}
    assert given.keys() == inputs
    for name, values in given.items():
        if values.dtype.kind == "O":
            given[name] = np.array([word.decode() for word in values], object)
    found = dict(zip([one.name for one in session.get_outputs()], session.run(None, given), strict=True))
    return found["probabilities"], found["class_name"].tolist()


def by_tflite(model, rows, folder):
    from ai_edge_litert.interpreter import Interpreter

    model.export(str(folder / "model.tflite"), format="tflite")
    run = Interpreter(str(folder / "model.tflite")).get_signature_runner("serving_default")
    given = {"features": rows} if model.schema is None else numeric_inputs(model, rows)
    inputs = run.get_input_details()
    given = {name: values for name, values in given.items() if name in inputs}
    assert given.keys() == inputs.keys()
    with np.errstate(over="ignore"):  # numbers beyond float32 are missing
        given = {name: v.astype(np.float32) if v.dtype == float else v for name, v in given.items()}
    found = run(**given)
    return found["probabilities"], [name.decode() for name in found["class_name"]]


def by_saved_model(model, rows, folder):
    model.export(str(folder / "export"))
    serve = tf.saved_model.load(str(folder / "export")).signatures["serving_default"]
    if model.schema is not None:
        given = random_tables.inputs_of(model.schema, rows)
    else:
        given = {"features": tf.constant(rows, model.dtype)}
    found = serve(**given)
    return found["probabilities"].numpy(), [name.decode() for name in found["class_name"].numpy()]


def by_keras(model, rows, folder):
    """`model.keras` takes the encoded features, and knows no classes."""
    import keras

    model.to_keras().save(folder / "model.keras")
    x = model.encode(rows) if isinstance(rows, pa.Table) else rows
    found = keras.models.load_model(folder / "model.keras").predict(x.astype(model.dtype), verbose=0)
    return np.hstack([1 - found, found]) if model.head.outputs == 1 else found, None


WAYS = {
    "json": by_json,
    "onnx": by_onnx,
    "tflite": by_tflite,
    "sql": by_sql,
    "saved_model": by_saved_model,
    "keras": by_keras,
}
# Largest difference of a probability from the model's. LiteRT computes in float32.
CLOSE = {"tflite": 1e-5}
