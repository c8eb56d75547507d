"""What the selftest makes of times and faults; tests/test_cli.py runs it."""

import json
import types

import numpy as np
import pytest

from tf_logreg import commands
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.devices.hardware import Hardware
from tf_logreg.errors import InputError, RunError
from tf_logreg.modes import limits, pass_times, selftest
from tf_logreg.modes.limits import Limits
from tf_logreg.modes.pass_times import Pass

LIMITS = Limits(bandwidth=1e9, peak=4e9, exact_peak=1e9, origin="invented")
RAN = Pass("hessian", (1000, 20, 1), compiled=True, first=1.5, seconds=2e-3, limit=1e-3)
FAILED = Pass("pooled_gram", (1000, 20, 1), compiled=True, fault="InternalError: no such kernel")


def found(errors=None, faults=None, programs=(RAN,)):
    return {
        "version": "1.0",
        "python": "3.12",
        "platform": "Linux",
        "versions": {"tensorflow": "2.20"},
        "strategy": "TPUStrategy",
        "replicas": 8,
        "dtype": "float32",
        "devices": ["device:TPU:0"],
        "engine": "devices",
        "errors": errors or {"gradient": 1e-7, "training": 1e-3},
        "x_stays_on": ["device:TPU:0"],
        "limits": {"bandwidth": 1e9, "peak": 4e12, "exact_peak": 1e9, "origin": "invented"},
        "programs": [vars(one) for one in programs],
        "faults": faults or {},
        "seconds": 3.0,
    }


def test_the_limit_is_the_larger_of_memory_and_products():
    assert LIMITS.seconds(3e9, 4e9, exact=False) == 3.0
    assert LIMITS.seconds(3e9, 4e9, exact=True) == 4.0


@pytest.mark.parametrize(("dtype", "products"), [("float32", 6), ("bfloat16", 3)])
def test_a_tpus_limits_are_published(monkeypatch, strategies, dtype, products):
    monkeypatch.setattr(limits.placement, "on_tpu", lambda strategy: True)
    devices = Devices(strategies["one_device"], dtype, engine="devices")
    made = limits.of(devices, Hardware(chips=("/dev/accel0", "/dev/accel1"), kind="v5e"))
    assert made == Limits(2 * 819e9, 2 * 197e12, 2 * 197e12 / products, "published, 2 x v5e")


def test_limits_of_a_device_without_published_figures(monkeypatch, strategies):
    monkeypatch.setattr(limits, "_BYTES", 2**20)
    monkeypatch.setattr(limits, "_SIZE", 64)
    devices = Devices(strategies["one_device"])
    (name,) = limits.placement.devices(devices.strategy)
    one, two = (limits._of_device(devices, name, count) for count in (1, 100))
    assert all(0 < a < b for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("engine", ["host", "devices"])
def test_passes_of_a_fit(strategies, engine):
    x, y = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32), np.arange(300) % 3
    source = from_arrays(x, y.astype(np.int32), class_names=("0", "1", "2"))
    passes = [*pass_times.of_fit(Devices(strategies["one_device"], engine=engine), source, LIMITS)]
    assert [one.name for one in passes] == ["value_and_gradient", "hessian"]
    assert not any(one.fault for one in passes)
    assert {one.compiled for one in passes} == {engine == "devices"}
    # 300 rows of 4 float32 at 1 GB/s; 4 p m = 48 operations of each at 1 G a second.
    assert passes[0].limit == pytest.approx(max(300 * 16, 300 * 48) / 1e9)


def test_a_program_that_does_not_compile_is_told_and_the_next_one_runs(strategies, monkeypatch):
    def refused(*_):
        raise ValueError("no such kernel\non this chip")

    monkeypatch.setattr(pass_times.engines, "placed_or_streamed", refused)
    source = from_arrays(
        np.ones((8, 2), np.float32), np.arange(8, dtype=np.int32) % 2, class_names=("0", "1")
    )
    passes = [*pass_times.of_fit(Devices(strategies["one_device"]), source, LIMITS)]
    assert [one.fault for one in passes] == ["ValueError: no such kernel on this chip"] * 2
    assert pass_times.table(passes)[1].endswith("FAILED  ValueError: no such kernel on this chip")


def test_our_own_errors_are_no_faults_of_a_device():
    def refused():
        raise InputError("--dtype")

    with pytest.raises(InputError, match="--dtype"):
        pass_times.tried(refused)


def test_the_block():
    lines = selftest.block(found()).splitlines()
    assert "gradient    1.0e-07 from float64, relative: ok" in lines
    assert any(line.startswith("training    1.0e-03") and "low precision" in line for line in lines)
    assert "limits      1.0 GB/s, 4.00 T operations/s, invented" in lines
    assert lines[-1].split() == ["hessian", "1,000", "x", "20", "x", "1", "yes", "1.50", "2.000", "1.000"]
    assert selftest.fault(found()) == ""


@pytest.mark.parametrize(
    ("given", "line", "fault"),
    [
        (
            {"errors": {"gradient": None}},
            "gradient    no number from float64, relative: WRONG",
            "mathematics",
        ),
        ({"errors": {"gradient": 0.5}}, "gradient    5.0e-01 from float64, relative: WRONG", "mathematics"),
        (
            {"errors": {"gradient": None}, "faults": {"gradient": "InternalError: died"}},
            "gradient    InternalError: died",
            "Does not run on these devices: gradient.",
        ),
        (
            {"faults": {"X stays on": "InternalError: died"}},
            "X stays on  InternalError: died",
            "Does not run on these devices: X stays on.",
        ),
        ({"programs": (RAN, FAILED)}, "FAILED  InternalError: no such", "on these devices: pooled_gram."),
    ],
)
def test_what_is_wrong_is_in_the_block_and_in_the_files(tmp_path, given, line, fault):
    team = types.SimpleNamespace(is_chief=True, from_chief=lambda function: function())
    with pytest.raises(RunError) as error:
        commands.show_selftest(found(**given), str(tmp_path / "out"), team)
    assert line in str(error.value)
    assert fault in str(error.value).splitlines()[-1]
    assert line in (tmp_path / "out" / "selftest.txt").read_text()
    assert json.loads((tmp_path / "out" / "selftest.json").read_text())["version"] == "1.0"
