"""Opens, writes, lists and removes all files of a work directory, and finds the files that a user gives.

A path is of this machine's disk (`disk`), or the address of a store, as gs://bucket/run (`remote`, `stores`).
On a disk a file or folder is written under a temporary name that begins with `.writing-` and then moved into
place; for a store it is written on the disk and then uploaded. So a reader never sees half of one, and a
failed write leaves the old one. A file system only needs to read, write, list and rename single files;
renaming or syncing folders and locks are optional. A store renames nothing. An error of either is an
InputError that names the file. Nothing that is read here can run code.
"""

from tf_logreg.storage.folder import Folder
from tf_logreg.storage.given_files import (
    exists,
    files_below,
    identity,
    is_file,
    is_folder,
    matching,
    on_disk,
    stamp,
)
from tf_logreg.storage.growing import Growing, growing
from tf_logreg.storage.npz import arrays, save_arrays
from tf_logreg.storage.paths import cache_dir, local_path, path_or_address
from tf_logreg.storage.row_file import RowFile, appended, mapped, size, temporary
from tf_logreg.storage.stores import Store, is_address, join, register

__all__ = [
    "Folder",
    "Growing",
    "RowFile",
    "Store",
    "appended",
    "arrays",
    "cache_dir",
    "exists",
    "files_below",
    "growing",
    "identity",
    "is_address",
    "is_file",
    "is_folder",
    "join",
    "local_path",
    "mapped",
    "matching",
    "on_disk",
    "path_or_address",
    "register",
    "save_arrays",
    "size",
    "stamp",
    "temporary",
]
