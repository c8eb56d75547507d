"""What TensorBoard reads from a run's events."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from tf_logreg import storage
from tf_logreg.results import events


def test_tensorboard_reads_the_scalars(tmp_path):
    folder = storage.Folder(str(tmp_path), "--workdir")
    with events.recorder(folder) as note:
        note("train/objective", 0.5, 1)
        note("train/objective", 0.25, 7)
        note("test/accuracy", 1.0, 7)
    found = EventAccumulator(str(tmp_path / "events")).Reload()
    assert sorted(found.PluginTagToContent("scalars")) == ["test/accuracy", "train/objective"]
    curve = [
        (event.step, tensor_util.make_ndarray(event.tensor_proto).item())
        for event in found.Tensors("train/objective")
    ]
    assert curve == [(1, 0.5), (7, 0.25)]
