"""How a path is solved, in batches, from samples and after a break, changes none of its answers."""

import contextlib
import itertools

import numpy as np
import pytest
from paths import fit_path, stratified
from problems import random_problem, solve_arrays

from tf_logreg import storage
from tf_logreg.devices import placement
from tf_logreg.errors import InputError, InterruptError
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch import loop, memory, penalized, polish, preconditioners, requests, sampled_start
from tf_logreg.fit.path import batches, solution


def test_split_by_memory_it_is_the_same(strategies, monkeypatch):
    x, y, weight = random_problem(150, 4, 3)
    whole = fit_path(x, y, weight, strategy=strategies["one_device"])
    room = memory.bytes_of_problem(4, 3, True, 150)
    solves = []
    solve = loop.solve
    monkeypatch.setattr(loop, "solve", lambda *a, **k: solves.append(len(a[2])) or solve(*a, **k))
    for problems, expected in ((4.5, [3, 3, 3]), (2.5, [2, 2, 2, 2, 1])):
        solves.clear()
        monkeypatch.setattr(placement, "device_memory", lambda _, size=problems: 4 * size * room)
        parts = fit_path(x, y, weight, strategy=strategies["one_device"])
        assert solves == [*expected, 1]  # the last is the refit
        np.testing.assert_allclose(parts.kernel, whole.kernel, atol=1e-6)
    monkeypatch.setattr(placement, "device_memory", lambda _: 3.9 * room)
    with pytest.raises(InputError, match="one problem of 4 features and 3 outputs"):
        fit_path(x, y, weight, strategy=strategies["one_device"])


@pytest.mark.parametrize(("split", "products", "classes"), [(0, 0, 3), (1, 0, 3), (0, 1, 3), (0, 1, 2)])
def test_broken_off_anywhere_it_ends_with_the_same_bits(
    strategies, tmp_path, monkeypatch, split, products, classes
):
    x, y, weight = random_problem(150, 4, classes)
    if products:  # by conjugate gradients, with preconditioners that are made anew all the time
        monkeypatch.setattr(penalized, "_LARGEST_HESSIAN", 0)
        monkeypatch.setattr(preconditioners, "_FEW_PRODUCTS", 0)
        monkeypatch.setattr(requests, "ROWS_PER_FEATURE", 1)
    if split:
        room = memory.bytes_of_problem(4, 3, True, 150)
        monkeypatch.setattr(placement, "device_memory", lambda _: 4 * 3.5 * room)
    whole = fit_path(x, y, weight, strategy=strategies["one_device"])
    asked = []

    @contextlib.contextmanager
    def third_time():
        answers = itertools.chain([False, False, True], itertools.repeat(False))
        yield lambda: next(answers)

    for _ in range(200):
        try:
            found = fit_path(
                x, y, weight, strategy=strategies["one_device"], folder=str(tmp_path / "c"), listen=third_time
            )
            break
        except InterruptError:
            asked.append(1)
    assert len(asked) >= 3
    np.testing.assert_array_equal(found.kernel, whole.kernel)
    np.testing.assert_array_equal(found.certified_gap, whole.certified_gap)
    assert found.choice == whole.choice


def test_each_batch_is_saved_once(strategies, tmp_path, monkeypatch):
    x, y, weight = random_problem(150, 4, 3)
    room = memory.bytes_of_problem(4, 3, True, 150)
    monkeypatch.setattr(placement, "device_memory", lambda _: 4 * 3.5 * room)
    fit_path(x, y, weight, strategy=strategies["one_device"], folder=str(tmp_path / "c"))
    saved = Checkpoints(storage.Folder(str(tmp_path / "c")).below("path"))
    assert saved.latest()[1].keys() == {"size"}
    assert [saved.below(f"solved-000{n}").latest()[1]["w"].shape for n in range(3)] == [(3, 15)] * 3
    assert saved.below("solved-0003").latest() is None


def test_a_sample_first_and_shared_hessians_end_at_the_same_optimum(strategies, monkeypatch):
    x, y, weight = random_problem(4000, 3, 2)
    whole = fit_path(x, y, weight, strategy=strategies["one_device"])
    shared = []
    hessian = penalized.Penalized.hessian
    monkeypatch.setattr(
        penalized.Penalized,
        "hessian",
        lambda self, w, k: shared.append((len(k), self.every)) or hessian(self, w, k),
    )
    monkeypatch.setattr(sampled_start, "_ROWS_PER_COEFFICIENT", 10**6)
    without = fit_path(x, y, weight, strategy=strategies["one_device"])
    assert {every for _, every in shared} == {1}
    assert {count for count, _ in shared} >= {9, 3}  # asked for nine, made for three
    np.testing.assert_allclose(whole.kernel, without.kernel, atol=1e-6)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_path_may_end_without_a_penalty(strategies, tmp_path, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(batches, "worth_at_once", lambda *_: 3)
    x, y, weight = random_problem(150, 4, 3)
    values = (1.0, 0.1, 0.01, 0.0)
    found = fit_path(x, y, weight, strategy=strategies["one_device"], values=values)
    assert (found.status == "optimal").all()
    train, _ = stratified(y, 3)[0]
    kernel, _, _ = solve_arrays(
        x[train], y[train], weight[train], strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-12
    )
    # Without a penalty a number added to every class's coefficients changes nothing.
    centred = [one - one.mean(axis=1, keepdims=True) for one in (found.kernel[-1, 0], kernel)]
    np.testing.assert_allclose(*centred, atol=1e-5)


def test_a_fine_path_takes_fewer_passes_from_the_line_than_from_the_last_answer(strategies, monkeypatch):
    monkeypatch.setattr(batches, "worth_at_once", lambda *_: 1)
    monkeypatch.setattr(penalized, "_LARGEST_HESSIAN", 0)
    monkeypatch.setattr(polish, "_LARGEST", 0)  # the last digits take as many passes from anywhere

    def passes():
        x, y, _ = random_problem(300)
        values, some = tuple(np.geomspace(1.0, 1e-3, 16)), np.arange(50)
        found = fit_path(
            x, y, strategy=strategies["one_device"], values=values, folds=0, validation=some, solver__tol=1e-6
        )
        assert (found.status == "optimal").all()
        return found.passes.sum()

    ahead = passes()
    monkeypatch.setattr(solution, "ahead", lambda w, part, *_, **__: w[np.maximum(part - 1, 0)])
    assert ahead < 0.8 * passes()


@pytest.mark.parametrize(("values", "folds"), [((0.1,), 3), ((0.1,), 0), ((0.0,), 2), ((1.0, 0.1), 2)])
def test_a_path_of_one_strength_or_two(strategies, values, folds):
    x, y, weight = random_problem(90, 3, 2)
    some = None if folds else np.arange(30)
    found = fit_path(
        x, y, weight, strategy=strategies["one_device"], values=values, folds=folds, validation=some
    )
    assert found.scores.shape == (len(values), max(folds, 1))
    assert (found.status == "optimal").all()
    assert 0 <= found.choice < len(values)


def test_an_unfinished_path_of_an_earlier_version_is_refused(strategies, tmp_path):
    """It kept the size of its batches as a checkpoint of its own; today's size might be another."""
    x, y, _ = random_problem(60, 3, 2)
    Checkpoints(storage.Folder(str(tmp_path / "c")).below("path").below("size")).save(
        0, {"size": np.array(3)}
    )
    with pytest.raises(InputError, match=r"unfinished path of an earlier version.*--overwrite"):
        fit_path(x, y, strategy=strategies["one_device"], folder=str(tmp_path / "c"))
