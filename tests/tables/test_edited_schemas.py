"""A schema.json that someone edited: what does not fit is refused when it is read."""

import copy
import json

import numpy as np
import pyarrow as pa
import pytest

from tf_logreg.errors import InputError
from tf_logreg.tables import inference, schema_file
from tf_logreg.tables.overrides import AskedCross, Override
from tf_logreg.tables.table import plain

TABLE = plain(pa.table({"word": ["u", "v"] * 20, "x": np.arange(40.0) / 3, "z": ["a", "a", "b", "b"] * 10}))
RULES = inference.Rules(overrides={"x": Override("bucketized", 4)}, crosses=(AskedCross(("word", "z")),))
FOUND = inference.infer(TABLE, np.arange(40) % 2, np.ones(40), RULES)
EDITS = {
    "truth": (("columns", 0, "has_other"), "yes", "'has_other' of 'word' is neither true nor false"),
    "a bucket": (("columns", 1, "reference"), 99, "the reference of 'x' is 99, no place of its buckets"),
    "a fraction": (("columns", 0, "reference"), 0.5, "the reference of 'word' is 0.5"),
    "half a range": (("columns", 1, "seen", "low"), None, "'seen' of 'x' is not as we write it"),
    "notes": (("columns", 1, "seen", "notes"), 3, "'seen' of 'x' is not as we write it"),
    "three columns": (("crosses", 0, "columns"), ["word", "z", "x"], "a cross is of two columns"),
    "numbers": (("crosses", 0, "columns"), ["word", "x"], "a cross is of 'x', which has no words"),
    "no column": (("crosses", 0, "columns"), ["word", "y"], "a cross is of 'y', which is no column"),
    "no pair": (("crosses", 0, "levels"), ["u"], "a level of the cross of word and z is no pair"),
    "a kind": (("crosses", 0, "kind"), "numeric", "a cross is of two columns, and hashed or categorical"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_that_do_not_fit(name):
    place, value, message = EDITS[name]
    edited = copy.deepcopy(json.loads(schema_file.text(FOUND)))
    assert schema_file.of_json(edited, "schema.json") == FOUND
    at = edited
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    with pytest.raises(InputError, match=f"data.schema: cannot use 'schema.json': {message}"):
        schema_file.of_json(edited, "schema.json")
