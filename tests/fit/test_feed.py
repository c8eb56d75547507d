"""Resident and streamed rows, and 16 bit: the same rows in the same steps, whatever feeds them."""

import numpy as np
import pytest
import tensorflow as tf
from problems import fit_arrays, objective, random_problem

from tf_logreg import config as configs
from tf_logreg.data import dataset as datasets
from tf_logreg.data import moments, pipeline
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices import placement
from tf_logreg.devices.devices import Devices
from tf_logreg.fit.minibatch import feed


@pytest.mark.parametrize("kind", ["off", "one_device", "mirrored"])
@pytest.mark.parametrize("num_rows", [40, 130, 200])
def test_resident_is_streamed_bit_for_bit(strategies, tmp_path, kind, num_rows):
    x, y, weight = random_problem(num_rows, 5, 3)
    fitted = [
        fit_arrays(
            x, y, weight, strategy=strategies[kind], tmp_path=tmp_path, resident=resident, dtype="float32",
            batch_size=32, epochs=5, steps_per_loop=7, learning_rate=0.05,
        )
        for resident in (True, False)
    ]  # fmt: skip
    np.testing.assert_array_equal(fitted[0][0], fitted[1][0])
    np.testing.assert_array_equal(fitted[0][1], fitted[1][1])
    assert fitted[0][2].history == fitted[1][2].history


@pytest.mark.parametrize("kind", ["one_device", "mirrored"])
def test_resident_steps_see_the_rows_that_the_order_says(strategies, kind):
    x, y, _ = random_problem(150, 4, 3)
    x[:, 0] = np.arange(150)  # a row's number, so that batches tell which rows they hold
    source, rows = from_arrays(x, y, class_names=("a", "b", "c")), np.arange(10, 150)
    seen = []

    def update(batch):
        def note(numbers, weight):
            seen.append(numbers[weight > 0])
            return np.float64(0)

        numbers, weight = (
            tf.concat([part.x[:, 0] for part in batch], 0),
            tf.concat([p.weight for p in batch], 0),
        )
        return tf.ensure_shape(tf.numpy_function(note, [numbers, weight], tf.float64), [])

    devices = Devices(strategies[kind], "float64")
    dataset = datasets.of_rows(source, {"train": rows}, configs.get_config(), devices)
    columns, order = moments.Affine(np.zeros(4), np.ones(4)), pipeline.Order(48, 10, 3)
    run, _ = feed.resident(devices, dataset, columns, order, update)
    for step in range(6):
        seen.clear()
        run(step, 1)
        epoch, within = divmod(step, 3)
        expected = pipeline.epoch_order(140, seed=3, epoch=epoch).numpy()[48 * within : 48 * (within + 1)]
        assert sorted(np.concatenate(seen)) == sorted(rows[expected])


@pytest.mark.parametrize("make", [feed.resident, feed.streamed])
def test_a_step_is_traced_once_whatever_their_number(strategies, make):
    """The last steps of a run are fewer than the others: to trace them again took a second of every run."""
    x, y, _ = random_problem(100, 4, 3)
    traced = []

    def update(batch):
        traced.append(batch)
        return tf.add_n([tf.reduce_sum(part.weight) for part in batch])

    source, devices = (
        from_arrays(x, y, class_names=("a", "b", "c")),
        Devices(strategies["one_device"], "float64"),
    )
    dataset = datasets.of_rows(source, {"train": np.arange(100)}, configs.get_config(), devices)
    columns, order = moments.Affine(np.zeros(4), np.ones(4)), pipeline.Order(25, 10, 3)
    run, _ = make(devices, dataset, columns, order, update)
    assert [run(0, 7), run(7, 7), run(14, 2)] == [25.0] * 3
    assert len(traced) == 1


def test_what_fits_is_resident(strategies):
    strategy = strategies["one_device"]
    free = placement.device_memory(strategy)
    rows = int(free / 4 / 100 / 2)
    assert placement.has_room(strategy, rows // 2, 100, "float32", 0.5)
    assert not placement.has_room(strategy, rows * 2, 100, "float32", 0.5)
    assert placement.has_room(strategy, rows * 3 // 2, 100, "bfloat16", 0.5)  # half the memory
    assert not placement.has_room(strategy, 10, 10, "float32", 0.0)


def test_bfloat16_keeps_x_in_half_the_memory_and_the_log_loss(strategies, tmp_path, digits_run):
    from tf_logreg import training

    workdir = str(tmp_path / "run")
    result = training.train_and_evaluate(
        configs.load("digits"), workdir, strategy=strategies["one_device"], dtype="bfloat16"
    )
    for role in ("train", "validation", "test"):
        assert abs(result["metrics"][role]["log_loss"] - digits_run[1]["metrics"][role]["log_loss"]) < 1e-3
    x, y, _ = random_problem(3000, 20, 4)
    losses = [
        objective(
            x, y, *fit_arrays(x, y, strategy=strategies["one_device"], tmp_path=tmp_path, dtype=dtype, epochs=10)[:2]
        )
        for dtype in ("float32", "bfloat16")
    ]  # fmt: skip
    assert abs(losses[0] - losses[1]) < 1e-3
