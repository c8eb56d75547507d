"""Numbers on the page, each with the file and the field that it comes from."""

import math
from typing import Any

from markupsafe import Markup

from tf_logreg.model import digits

MISSING = "\N{EN DASH}"


class Numbers:
    """Shows numbers of some files, and lets a reader, or a test, look each of them up.

    Attributes:
        files: what the page's numbers are taken from, by the file's name: objects and lists of numbers.
    """

    def __init__(self, files: dict[str, Any]) -> None:
        self.files = files

    def value(self, place: str) -> Any:
        """What is at a place, 'result.json#/metrics/test/log_loss'; None where there is nothing.

        Behind the file's name stands a JSON pointer (RFC 6901): '~1' is a slash within a name.
        """
        name, _, pointer = place.partition("#/")
        found = self.files[name]
        for part in pointer.split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                found = found[key] if isinstance(found, dict) else found[int(key)]
            except (KeyError, IndexError, TypeError, ValueError):  # also below a null
                return None
        return found

    def has(self, place: str) -> bool:
        """Whether there is a finite number at a place."""
        value = self.value(place)
        return value is not None and math.isfinite(value)

    def show(self, place: str, form: str = ".4f", bound: float | None = None) -> Markup:
        """The number at a place as an HTML element; a dash where there is none.

        Args:
            place: as of `value`.
            form: the format that rounds it.
            bound: on its distance from the true number, for proven digits alone, with a form like .4g;
                None for all digits.
        """
        if not self.has(place):
            return Markup(MISSING)
        value = float(self.value(place))
        exact = int(value) if value.is_integer() else value
        if bound is not None:
            shown = digits.shown(value, bound, int(form.strip(".g")))
        else:
            shown = format(int(value) if form.endswith("d") else value, form)
        shown = shown.replace("-", "\N{MINUS SIGN}")
        return Markup('<data value="{}" data-field="{}">{}</data>').format(exact, place, shown)


def escaped(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
