"""A folder of a run whose files another program goes on writing, as TensorFlow its events."""

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator

from tf_logreg.storage import stores
from tf_logreg.storage.folder import Folder

_SECONDS = 30.0  # between two uploads of a file to a store


@dataclasses.dataclass
class Growing:
    """Where the other program writes.

    Attributes:
        path: the folder, on this machine's disk.
        check: raises a RunError where this run no longer owns the work directory; called before a write.
        upload: brings the files as they are to where they belong.
        last: when that was done.
    """

    path: str
    check: Callable[[], None]
    upload: Callable[[], None]
    last: float = dataclasses.field(default_factory=time.monotonic)

    def written(self) -> None:
        """To be called when something was written."""
        if time.monotonic() - self.last >= _SECONDS:
            self.upload()
            self.last = time.monotonic()


@contextlib.contextmanager
def growing(folder: Folder, name: str) -> Iterator[Growing]:
    """Where to write the folder `name` on and on.

    In a store files appear whole. So they are written on this machine's disk, and uploaded at most every 30
    seconds, and at the end. What a killed run wrote since then is lost.

    Args:
        folder: in which it is.
        name: of the folder.
    """
    if not stores.is_address(folder.path):
        yield Growing(folder.where(name), folder.check_owner, lambda: None)
        return
    with tempfile.TemporaryDirectory(prefix="tf_logreg-", ignore_cleanup_errors=True) as path:

        def upload() -> None:
            for file in sorted(os.listdir(path)):
                folder.below(name).put(file, os.path.join(path, file))

        try:
            yield Growing(path, lambda: None, upload)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error counts
                upload()
            raise
        upload()
