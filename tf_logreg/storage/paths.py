"""Paths that users give."""

import os

from tf_logreg.errors import InputError
from tf_logreg.storage import stores


def cache_dir(text: str, field: str = "data.cache_dir") -> str:
    """The folder for rows that took long to make; '' is tf_logreg's own in the user's folder of caches.

    Raises:
        InputError: as `local_path`.
    """
    return local_path(
        text or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tf_logreg"), field
    )


def path_or_address(text: str, field: str) -> str:
    """Converts a path that a user gave: to one of this machine's file system, or to an address of a store.

    Args:
        text: a path, or an address such as gs://bucket/run.
        field: the flag or config field it came from, for messages.

    Raises:
        InputError: no store serves such an address; or as `local_path`.
    """
    if not stores.is_address(text):
        return local_path(text, field)
    _check_text(text, field)
    stores.check(text, field)
    return text.rstrip("/")


def local_path(text: str, field: str) -> str:
    """Converts a path that a user gave to one of this machine's file system; '' stays ''.

    Args:
        text: a path; `~` and `~name` are expanded.
        field: the flag or config field it came from, for messages.

    Raises:
        InputError: an address such as gs://bucket, the home of an unknown user, or an invalid file name.
    """
    if stores.is_address(text):
        raise InputError(f"{field}: expected a path on this machine. Received: {text!r}.")
    _check_text(text, field)
    found = os.path.expanduser(text)
    if found.startswith("~"):
        raise InputError(
            f"{field}: expected the home of a user of this machine after '~'. Received: {text!r}; a folder "
            f"of that name is './{text}'."
        )
    return found


def _check_text(text: str, field: str) -> None:
    """InputError for a text that no file is called."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{field}: expected a path in UTF-8. Received: {text!a}.") from None
    if "\0" in text:
        raise InputError(f"{field}: expected a path without NUL bytes. Received: {text!r}.")
