"""What plan compiles is what training runs; and what it says without a compiler."""

import importlib.metadata

import pytest
import tensorflow as tf
from problems import random_problem, solve_arrays

from tf_logreg import config as configs
from tf_logreg.devices import chips, placement
from tf_logreg.engines import on_devices
from tf_logreg.errors import InputError
from tf_logreg.fit.minibatch import loop
from tf_logreg.plan import compiler, plan, programs


class _AskedError(Exception):
    pass


def test_what_is_lowered_is_what_strategy_run_is_given(monkeypatch, strategies):
    strategy, run, lowered = strategies["off"], [], []
    monkeypatch.setattr(placement, "on_tpu", lambda _: True)
    monkeypatch.setattr(programs, "lower", lambda function, arguments, stage: lowered.append(function))

    def given(function, args):
        run.append(function)
        raise _AskedError

    monkeypatch.setattr(type(strategy), "run", lambda self, function, args=(): given(function, args))
    for request in programs.requests(1000, 784, 10):
        with pytest.raises(_AskedError):
            on_devices._distributed(strategy, request.name, request.width, request.every, None)(0, 0, 0)
        programs.pass_over_rows(request, 1000, 784, 10)
    assert len(run) == 3
    assert all(a is b for a, b in zip(run, lowered, strict=True))


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ((10_000, 784, 10), ["value_and_gradient", "hessian_product", "pooled_gram"]),
        ((10_000, 20, 2), ["value_and_gradient", "hessian"]),
    ],
)
def test_requests_are_the_solvers_own(sizes, names):
    found = programs.requests(*sizes)
    assert [request.name for request in found] == names


@pytest.mark.parametrize(("num_features", "num_classes"), [(6, 2), (70, 10)])
def test_a_fit_makes_the_passes_that_were_requested(num_features, num_classes, strategies, tmp_path):
    x, y, _ = random_problem(900, num_features, num_classes)
    _, _, trained = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-3, tol=1e-6, solver__polish=False
    )
    requested = {request.name for request in programs.requests(900, num_features, num_classes)}
    assert set(trained.made) == requested | {"float64"}


def test_a_step_is_lowered_from_the_function_that_training_builds(monkeypatch):
    built, given = [], []
    make = loop.make_update

    def record(*args, **kwargs):
        built.append(make(*args, **kwargs))

        def update(batch):
            given.append(batch)
            return built[-1](batch)

        return update

    monkeypatch.setattr(loop, "make_update", record)
    monkeypatch.setattr(programs, "lower", lambda function, arguments: function)
    step = programs.step(64, 5, 3)
    x, y, weight, offset = (tf.zeros(spec.shape, spec.dtype) for spec in programs.row_specs(64, 5, "float32"))
    with pytest.MonkeyPatch.context() as patch:  # an eager step on the CPU: a plain product will do
        patch.setattr("tf_logreg.objective.linear.is_for_tpu", lambda: False)
        step(programs.Batch(x, y, weight + 1, offset, y))
    assert len(built) == len(given) == 1


def test_topologies():
    assert chips.topology("v5e:2x4").num_chips == 8
    assert chips.topology("v5p:2x2x2").num_chips == 8
    for name in ("v5e:3x3", "v9:1x1", "", "v5e"):
        with pytest.raises(InputError, match=r"v5e:2x4.*v6e:1x1.*Received"):
            chips.topology(name)


def test_sparse_rows_are_not_planned(monkeypatch, tmp_path):
    (tmp_path / "rows.txt").write_text("1 1:1\n0 2:1\n")
    settings = configs.load("libsvm")
    settings.data.args.path = str(tmp_path / "rows.txt")
    monkeypatch.setattr(compiler, "check", lambda: None)
    with pytest.raises(InputError, match="sparse rows are fitted by NumPy"):
        plan.plan(settings, topology="v5e:2x4")


def test_without_the_compiler(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(InputError, match=r"jax and jaxlib and libtpu: pip install 'tf_logreg\[cpu,plan\]'"):
        compiler.check()


def test_bad_flags(command):
    code, _, err = command("--mode=plan", "--config=digits", "--topology=v5e:7x7")
    assert code == 2
    assert "v5e:2x4" in err
    code, _, err = command("--mode=plan", "--config=digits", "--dtype=float64")
    assert code == 2
    assert "float64" in err
    code, _, err = command("--mode=plan")
    assert code == 2
    assert "--config" in err
