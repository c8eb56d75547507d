"""The command line: absl flags -> config -> strategy -> the chosen mode -> an exit code.

0 done; 1 the run failed; 2 bad flags, config or data; 3 interrupted (design.md, 'Exit codes').
"""

import logging
import sys
from typing import Any

from absl import flags

from tf_logreg import command_line_flags, commands, signals, startup
from tf_logreg import config as configs
from tf_logreg.errors import InputError, InterruptError, RunError

# TensorFlow takes seconds to import. Modules that need it are imported inside functions, so that `--help` and
# mistakes in flags or config fields are answered first.


# By mode, flags that no other mode looks at.
_OF_ONE_MODE = {
    "export": ("version", "format"),
    "compare": ("baseline",),
    "predict": ("input", "output", "keep", "explain"),
    "plan": (
        "topology",
        "price_per_hour",
        "deadline_minutes",
        "plan_rows",
        "plan_features",
        "plan_classes",
        "plan_passes",
    ),
}


def run(values: flags.FlagValues) -> None:
    """Runs the chosen mode and prints its result.

    Raises:
        InputError, RunError, InterruptError: `exit_code` turns them into exit codes.
    """
    _check_flags(values)
    if values.mode in commands.ALONE:
        commands.ALONE[values.mode](values)
        return
    startup.import_tensorflow()
    from tf_logreg.devices import strategies, workers

    if values.deterministic:
        strategies.make_deterministic(values.config.seed if values.config is not None else 0)
    kind = values.distribution_strategy
    if values.mode == "export" and kind == "auto":
        kind = "off"  # an export computes nothing, and leaves a TPU to those that do
    strategy = strategies.make_strategy(kind, **commands.where(values), job=_job(values))
    with workers.of(strategy).watched():
        commands.ON_DEVICES[values.mode](values, strategy)


def _check_flags(values: flags.FlagValues) -> None:
    """InputError for flags that the mode needs and lacks, and those that need another beside them."""
    for mode, names in _OF_ONE_MODE.items():
        for name in names:
            if values[name].present and values.mode != mode:
                raise InputError(
                    f"--{name}: expected --mode={mode} beside it. Received: --mode={values.mode}."
                )
    if values.version is not None and values.format != "saved_model":
        raise InputError(
            "--version: expected --format=saved_model beside it. Received: "
            f"--format={values.format}, one file."
        )
    if values.config is None and values.mode in ("train", "plan"):
        raise InputError(
            f"--config: expected a file or one of {', '.join(configs.shipped())}; or a table by --data "
            "and --label. Received: nothing."
        )
    if values.config is None and values.mode == "describe":
        raise InputError("--mode=describe: expected a table by --data. Received: nothing.")
    if values.label and not values.data:
        raise InputError(f"--label: expected --data beside it. Received: --label={values.label}.")


def _job(values: flags.FlagValues) -> dict[str, Any]:
    """Settings that must be the same on all workers: some flags, and each config field by its name."""
    fields = {} if values.config is None else values.config.to_dict()
    while nested := [name for name, value in fields.items() if isinstance(value, dict) and value]:
        for name in nested:
            fields.update({f"{name}.{key}": value for key, value in fields.pop(name).items()})
    return {
        **{f"--{name}": values[name].value for name in ("mode", "dtype", "engine", "deterministic")},
        **{f"--config.{name}": value for name, value in fields.items()},
    }


def exit_code(argv: list[str], values: flags.FlagValues) -> int:
    """Parses, runs, and turns our errors into a message and an exit code; other errors are bugs."""
    try:
        command_line_flags.parse(argv, values)
        run(values)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except RunError as error:
        print(error, file=sys.stderr)
        return 1
    except InterruptError as error:
        print(error, file=sys.stderr)
        return 3
    except _out_of_memory() as error:
        why = " ".join(str(error).split())[:200] or "the system gave no more"
        print(
            f"memory: expected a job that fits. {why}. Take fewer rows, features or classes.", file=sys.stderr
        )
        return 2
    return 0


def _out_of_memory() -> tuple[type[Exception], ...]:
    """Error types of exhausted memory, with TensorFlow's if it is imported."""
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, *([tensorflow.errors.ResourceExhaustedError] if tensorflow else []))


def main() -> None:
    """The program, called by `__main__.main`."""
    signals.hear()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("tf_logreg").setLevel(logging.INFO)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its warnings are for developers
    if any(argument in ("-h", "--help", "--helpfull", "--helpshort") for argument in sys.argv[1:]):
        command_line_flags.define(flags.FLAGS, sys.argv)
        print(__doc__, flags.FLAGS.module_help(command_line_flags.__name__), sep="\n")
        sys.exit(0)
    code = exit_code(sys.argv, flags.FLAGS)
    signals.ignore()
    sys.exit(code)


if __name__ == "__main__":
    main()
