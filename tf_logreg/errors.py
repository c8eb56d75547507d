"""The errors that the command line turns into exit codes; the lowest module, it imports nothing of ours."""

import textwrap


class InputError(ValueError):
    """A flag, a config or data that cannot be used (exit code 2).

    The message names the argument, what came, what is taken, and where (file, row).
    """


class RunError(RuntimeError):
    """A run that started well and failed, a diverged fit for one (exit code 1)."""


class InterruptError(RuntimeError):
    """A run that was told to stop and has saved a checkpoint (exit code 3)."""


def brief(error: object, width: int = 300) -> str:
    """Another program's message on one line of at most `width` characters, cut between two words."""
    text = " ".join(str(error).split())
    # A single word that is longer, a path for one, is kept whole rather than lost.
    return textwrap.shorten(text, max(width, len(text.partition(" ")[0]) + 4), placeholder=" ...")
