"""Scalars for TensorBoard, as a run goes on."""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf

from tf_logreg import storage
from tf_logreg.errors import InputError

Record = Callable[[str, float, int], None]


def silent(name: str, value: float, step: int) -> None:
    """Records nothing."""


@contextlib.contextmanager
def recorder(folder: storage.Folder) -> Iterator[Record]:
    """Gives a function that writes (name, value, step) into `events/`.

    TensorFlow's writer makes a file that was deleted again. So nothing is left in its queue, and whose
    directory it is is asked first.

    Raises:
        InputError: the disk refuses. RunError: the work directory is not this run's any more.
    """
    with _told(folder):
        writer = tf.summary.create_file_writer(folder.where("events"))

    def record(name: str, value: float, step: int) -> None:
        with _told(folder), writer.as_default():
            tf.summary.scalar(name, value, step=step)
            writer.flush()

    yield record
    with _told(folder):
        writer.close()


@contextlib.contextmanager
def _told(folder: storage.Folder) -> Iterator[None]:
    """TensorFlow's errors as ours."""
    folder.check_owner()
    try:
        yield
    except tf.errors.OpError as error:
        folder.check_owner()
        raise InputError(
            f"{folder.field}: cannot write {folder.where('events')!r}: {error.message}."
        ) from None
