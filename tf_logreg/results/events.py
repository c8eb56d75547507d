"""Scalars for TensorBoard during a run."""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.core.framework import summary_pb2

from tf_logreg import storage
from tf_logreg.errors import InputError

Record = Callable[[str, float, int], None]
# TensorBoard shows such a value as a curve. tf.summary.scalar says the same, but imports TensorBoard first.
_SCALAR = summary_pb2.SummaryMetadata(
    plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class=summary_pb2.DATA_CLASS_SCALAR,
)


def silent(name: str, value: float, step: int) -> None:
    """Records nothing."""


@contextlib.contextmanager
def recorder(folder: storage.Folder) -> Iterator[Record]:
    """Yields a function that writes (name, value, step) into `events/`.

    TensorFlow's writer would recreate a deleted file. So its queue is flushed after each value, and the
    owner of the directory is checked first.

    Raises:
        InputError: the file cannot be written. RunError: this run no longer owns the work directory.
    """
    with storage.growing(folder, "events") as events:
        with _told(folder, events):
            writer = tf.summary.create_file_writer(events.path)

        def record(name: str, value: float, step: int) -> None:
            with _told(folder, events), writer.as_default():
                tf.summary.write(name, tf.constant(value, tf.float32), step, _SCALAR)
                writer.flush()
            events.written()

        yield record
        with _told(folder, events):
            writer.close()


@contextlib.contextmanager
def _told(folder: storage.Folder, events: storage.Growing) -> Iterator[None]:
    """Raises TensorFlow's errors as ours."""
    events.check()
    try:
        yield
    except tf.errors.OpError as error:
        folder.check_owner()
        raise InputError(
            f"{folder.field}: cannot write {folder.where('events')!r}: {error.message}."
        ) from None
