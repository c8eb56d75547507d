"""Opens, writes, lists and removes all files of a work directory, except the owner file.

A file or folder is written under a temporary name that begins with `.writing-` and then moved into place.
So a reader never sees half of one, and a failed write leaves the old one. The file system only needs to
read, write, list and rename single files; renaming or syncing folders and locks are optional.
An error of the disk is an InputError that names the file. Nothing that is read here can run code.
"""

from tf_logreg.storage.folder import Folder
from tf_logreg.storage.npz import arrays, save_arrays
from tf_logreg.storage.paths import cache_dir, local_path
from tf_logreg.storage.row_file import RowFile, appended, mapped, size, temporary

__all__ = [
    "Folder",
    "RowFile",
    "appended",
    "arrays",
    "cache_dir",
    "local_path",
    "mapped",
    "save_arrays",
    "size",
    "temporary",
]
