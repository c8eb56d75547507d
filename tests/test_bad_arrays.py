"""One clear message with exit code 2 for every bad array, and nothing written; and what separates is named."""

import json

import numpy as np
import pytest
from problems import random_problem


def arrays(**changes):
    x, y, weight = random_problem(60, 3, 3)
    return {"x": x, "y": y, "weight": weight, **changes}


def changed(array, index, value):
    array = array.astype(type(value)) if isinstance(value, float) else array.copy()
    array[index] = value
    return array


GOOD = arrays()


BAD_ARRAYS = {
    "one class": ({"y": np.zeros(60, int)}, "at least two classes. Received: only '0'"),
    "NaN in x": ({"x": changed(GOOD["x"], (17, 1), np.nan)}, "nan in row 17 of"),
    "infinity in x": ({"x": changed(GOOD["x"], (17, 1), np.inf)}, "column 'x1'"),
    "NaN in weight": ({"weight": changed(GOOD["weight"], 5, np.nan)}, "nan in row 5 of"),
    "infinity in weight": ({"weight": changed(GOOD["weight"], 5, np.inf)}, "inf in row 5 of"),
    "negative weight": ({"weight": changed(GOOD["weight"], 5, -1.0)}, "-1.0 in row 5 of"),
    "no weight": ({"weight": np.zeros(60)}, "some rows with a weight > 0"),
    "fractional label": ({"y": changed(GOOD["y"], 3, 0.5)}, "0.5 in row 3"),
    "a class without weight": ({"weight": (GOOD["y"] != 2) * 1.0}, "none of '2'"),
    "no rows": ({"x": np.ones((0, 3)), "y": np.ones(0), "weight": np.ones(0)}, "shape (0, 3)"),
    "no columns": ({"x": np.ones((60, 0))}, "shape (60, 0)"),
    "pickles": ({"y": np.array([None] * 60)}, "pickled objects"),
    "1e100 in x": ({"x": changed(GOOD["x"], (17, 1), 1e100)}, "1e+100 in row 17 of"),
    "too few labels": ({"y": np.array([0, 1])}, "y: expected 60 values"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays(command, tmp_path, case):
    changes, message = case
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays(**changes))
    code, out, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={path}", f"--workdir={tmp_path}/run"
    )
    assert code == 2, err
    assert message in err
    assert (
        str(path) in err
        or message in ("at least two classes. Received: only '0'",)
        or "y:" in err
        or "weight:" in err
    )
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_offset_with_gaps(command, tmp_path, value):
    offset = np.zeros(60)
    offset[7] = value
    np.savez(tmp_path / "bad.npz", **arrays(y=GOOD["y"] % 2, exposure=offset))
    code, out, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/bad.npz", "--config.data.offset=exposure",
        f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 2
    assert f"{value} in row 7 of" in err
    assert "data.offset" in err
    assert out == ""
    assert not (tmp_path / "run").exists()


def test_the_column_that_runs_off_is_named(command, tmp_path):
    """As NV in the endometrial cancer data of Heinze and Schemper (Statistics in Medicine 21, 2002)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(79, 2))
    y = (x[:, 0] + rng.logistic(size=79) > 0).astype(int)
    nv = (y == 1) & (rng.random(79) < 0.4)
    np.savez(tmp_path / "endometrial.npz", x=np.column_stack([nv, x]), y=y, feature_names=["NV", "PI", "EH"])
    code, out, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/endometrial.npz", "--config.l2=0.0",
        "--config.data.test_fraction=0.0", f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 0, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "separated"
    assert result["certified_gap"] is None
    assert "'NV'" in out + err
    assert "'PI'" not in out + err
