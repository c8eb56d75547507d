"""The one place that opens, writes, lists and removes a work directory's files, but for its owner's.

A file or folder is written aside, under a name that begins with `.writing-`, and put in place whole: a
reader never sees half of one, and a write that fails leaves what was there. Nothing but reading, writing,
listing and the renaming of single files is taken for granted: folders that cannot be renamed or synced, and
file systems without locks, are enough.
Whatever the disk refuses is an InputError that names the file. Nothing that is read here can run code.
"""

from tf_logreg.storage.folder import Folder
from tf_logreg.storage.npz import arrays, save_arrays
from tf_logreg.storage.paths import local_path

__all__ = ["Folder", "arrays", "local_path", "save_arrays"]
