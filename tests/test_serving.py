"""The client of TensorFlow Serving's REST interface, against a small server of a SavedModel."""

import numpy as np
import pytest
import random_tables
import served
from served import dense
from serving_server import serving

from tf_logreg.errors import InputError, RunError
from tf_logreg.model.head import Head
from tf_logreg.serving import Client


@pytest.fixture(scope="module")
def of_a_table(tmp_path_factory):
    """A client of a table with every kind of column, the model, and rows with holes and new values."""
    random = np.random.default_rng(3)
    schema = random_tables.schema_of(random_tables.table(random, 300))
    model, rows = (
        random_tables.model_of(schema, Head("softmax", 3), random),
        random_tables.table(random, 100, unseen=True),
    )
    folder = str(tmp_path_factory.mktemp("served") / "export")
    model.export(folder)
    with serving(folder, "shop") as url:
        yield Client(url, schema), model, rows


@pytest.mark.parametrize("by_rows", [False, True])
def test_predict(by_rows, of_a_table):
    client, model, rows = of_a_table
    found = client.predict(rows, by_rows=by_rows)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), atol=1e-9)
    assert found["class_name"].tolist() == model.predict(rows).tolist()
    assert set(found) == {"logits", "probabilities", "class_id", "class_name"}


def test_classify(of_a_table):
    client, model, rows = of_a_table
    rows = random_tables.table(np.random.default_rng(4), 50)
    names, found = client.classify(rows)
    assert names == model.class_names
    # Times are sent with the digits of float32: to four minutes.
    np.testing.assert_allclose(found, model.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("by_rows", [False, True])
def test_arrays(by_rows, tmp_path):
    model, rows = dense("one_vs_rest", 4)
    rows = rows[:20].copy()
    rows[3, 2] = np.nan
    model.export(str(tmp_path / "export"))
    with serving(str(tmp_path / "export"), "arrays") as url:
        client = Client(url)
        found = client.predict(rows, by_rows=by_rows)
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), atol=1e-6)
        assert found["class_name"].tolist() == model.predict(rows).tolist()
        with pytest.raises(
            InputError, match=r"schema: expected that of a table for `classify`. Received: None"
        ):
            client.classify(rows)
        with pytest.raises(
            RunError, match=r"url: expected an answer of TensorFlow Serving. Received: .*error.* from 'http"
        ):
            client.predict(rows[:, :5])


def test_what_is_refused(of_a_table):
    client, _, rows = of_a_table
    with pytest.raises(InputError, match="expected the column 'count', which the model uses"):
        client.predict(rows.drop_columns("count"))
    with pytest.raises(InputError, match="expected the column 'count', which the model uses"):
        client.classify(rows.drop_columns("count"))
    other = Client(client.url.replace("shop", "other"), client.schema)
    with pytest.raises(RunError, match=r"Received: .*Servable not found for request: Latest"):
        other.predict(rows)
    with pytest.raises(RunError, match=r"url: expected an answer of TensorFlow Serving. Received: .*refused"):
        Client("http://127.0.0.1:9/v1/models/shop", client.schema, timeout=5).predict(rows)


def test_the_guides_own_lines(pet_run, pet_files, monkeypatch, capsys):
    """What docs/serving.md says of a server."""
    text = served.block("# the server runs\n")
    with serving(f"{pet_run}/export", "pets") as url:
        text = text.replace("http://localhost:8501/v1/models/pets", url).replace("runs/pets", str(pet_run))
        exec(text.replace("others.csv", f"{pet_files}/new.csv"), {})
    assert "dog" in capsys.readouterr().out
