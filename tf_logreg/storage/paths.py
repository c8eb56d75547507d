"""Paths that users give."""

import os
import re

from tf_logreg.errors import InputError


def cache_dir(text: str, field: str = "data.cache_dir") -> str:
    """The folder for rows that took long to make; '' is tf_logreg's own in the user's folder of caches.

    Raises:
        InputError: as `local_path`.
    """
    return local_path(
        text or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tf_logreg"), field
    )


def local_path(text: str, field: str) -> str:
    """Converts a path that a user gave to one of this machine's file system; '' stays ''.

    Args:
        text: a path; `~` and `~name` are expanded.
        field: the flag or config field it came from, for messages.

    Raises:
        InputError: an address such as gs://bucket, the home of an unknown user, or an invalid file name.
    """
    if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise InputError(
            f"{field}: expected a path on this machine. Received: {text!r}; {scheme[0]} is not understood. "
            "Mount it (gcsfuse for gs://) and give the folder."
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{field}: expected a path in UTF-8. Received: {text!a}.") from None
    if "\0" in text:
        raise InputError(f"{field}: expected a path without NUL bytes. Received: {text!r}.")
    found = os.path.expanduser(text)
    if found.startswith("~"):
        raise InputError(
            f"{field}: expected the home of a user of this machine after '~'. Received: {text!r}; a folder "
            f"of that name is './{text}'."
        )
    return found
