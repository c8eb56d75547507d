"""The errors that the command line turns into exit codes; the lowest module, it imports nothing."""


class InputError(ValueError):
    """A flag, a config or data that cannot be used (exit code 2).

    The message names the argument, what came, what is taken, and where (file, row).
    """


class RunError(RuntimeError):
    """A run that started well and failed, a diverged fit for one (exit code 1)."""


class InterruptError(RuntimeError):
    """A run that was told to stop and has saved a checkpoint (exit code 3)."""
