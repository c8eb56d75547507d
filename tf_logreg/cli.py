"""The command line: absl flags -> config -> strategy -> the chosen mode -> an exit code.

0 done; 1 the run failed; 2 bad flags, config or data; 3 interrupted (design.md, 'Exit codes').
"""

import json
import logging
import sys
from typing import Any

from absl import flags

from tf_logreg import command_line_flags, signals, startup
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
    alone = {
        "describe": _describe,
        "predict": _predict,
        "report": _report,
        "compare": _compare,
        "plan": _plan,
    }
    if values.mode in alone:
        alone[values.mode](values)
    else:
        _run_on_devices(values)


def _run_on_devices(values: flags.FlagValues) -> None:
    """Runs a mode that takes a strategy."""
    startup.import_tensorflow()
    from tf_logreg.devices import strategies, workers

    if values.deterministic:
        strategies.make_deterministic(values.config.seed if values.config is not None else 0)
    where = {
        name: values[name].value
        for name in (
            "num_gpus",
            "num_virtual_cpus",
            "all_reduce_alg",
            "worker_hosts",
            "task_index",
            "startup_timeout",
            "tpu",
            "tpu_zone",
            "gcp_project",
        )
    }
    kind = values.distribution_strategy
    if values.mode == "export" and kind == "auto":
        kind = "off"  # an export computes nothing, and leaves a TPU to those that do
    strategy = strategies.make_strategy(kind, **where, job=_job(values))
    with workers.of(strategy).watched():
        if values.mode == "train":
            _train(values, strategy, {"distribution_strategy": values.distribution_strategy, **where})
        else:
            {"selftest": _selftest, "evaluate": _evaluate, "export": _export}[values.mode](values, strategy)


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


def _describe(values: flags.FlagValues) -> None:
    """What the columns of a table are and become."""
    startup.import_tensorflow()
    from tf_logreg.modes import describe

    print(describe.describe(values.config, values.workdir))


def _predict(values: flags.FlagValues) -> None:
    """Scores the rows of a table."""
    startup.import_tensorflow()
    from tf_logreg.modes import predict

    given = values["config"].override_values
    args = {name: value for name, value in values.config.data.args.items() if f"data.args.{name}" in given}
    wanted = predict.Wanted(tuple(values.keep), values.explain, args)
    print(predict.predict(values.workdir, values.input, values.output, wanted))


def _report(values: flags.FlagValues) -> None:
    """Writes a finished run's page again."""
    from tf_logreg.modes import report

    print(report.write_report(values.workdir))


def _compare(values: flags.FlagValues) -> None:
    """Compares two runs on the same rows."""
    startup.import_tensorflow()
    from tf_logreg.modes import compare
    from tf_logreg.results import comparison

    found = compare.compare_runs(values.workdir, values.baseline, values.config)
    print("\n".join(comparison.lines(found)))
    print(f"It is in {values.workdir}/compare.json too.")


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


def _train(values: flags.FlagValues, strategy: Any, where: dict) -> None:
    """Runs the config; `where` is for the record. Only the chief writes and prints."""
    from tf_logreg import training
    from tf_logreg.devices.devices import Devices
    from tf_logreg.model import summary
    from tf_logreg.modes import report
    from tf_logreg.results import workdir as directory

    devices = Devices(
        strategy,
        values.dtype,
        values.device_memory_fraction,
        values.engine,
        found=values.distribution_strategy == values.engine == "auto",
    )
    found = training.run_config(
        values.config,
        values.workdir,
        devices,
        overwrite=values.overwrite,
        record={"flags": {**where, "deterministic": values.deterministic}},
    )
    if not devices.workers.is_chief:
        return
    folder = directory.of(values.workdir)
    model = directory.read_model(folder)[1]
    print("\n".join(summary.lines(found, model)))
    if values.report and not folder.holds(report.NAME):  # a finished run is not repeated, nor is its page
        report.write_report(values.workdir)
    held = [name for name in ("model.keras", report.NAME) if folder.holds(name)]  # sparse rows: no Keras
    print(f"Everything is in {values.workdir}: {', '.join(['result.json', *held])}, export/.")
    if model.schema is not None:
        print(_next_commands(values.workdir))


def _evaluate(values: flags.FlagValues, strategy: Any) -> None:
    """Measures a finished run's model again, or on other data."""
    from tf_logreg.devices import workers
    from tf_logreg.model import summary
    from tf_logreg.modes import evaluate

    numbers = evaluate.evaluate_run(values.workdir, strategy=strategy, config=values.config)
    if workers.of(strategy).is_chief:
        print(summary.table(numbers))


def _export(values: flags.FlagValues, strategy: Any) -> None:
    """Writes a finished run's model for other programs."""
    from tf_logreg.devices import workers
    from tf_logreg.modes import export

    team = workers.of(strategy)
    folder = team.from_chief(
        lambda: export.export_run(
            values.workdir, values.version, file_format=values.format, overwrite=values.overwrite
        )
    )
    if team.is_chief:
        print(folder)


def _selftest(values: flags.FlagValues, strategy: Any) -> None:
    """Checks these devices."""
    from tf_logreg.devices import workers
    from tf_logreg.devices.devices import Devices
    from tf_logreg.modes import selftest

    found = selftest.run(Devices(strategy, values.dtype, engine=values.engine))
    _show_selftest(found, values.workdir, workers.of(strategy))


def _show_selftest(found: dict[str, Any], workdir: str, team) -> None:
    """Prints what the selftest found and keeps it in the work directory, if there is one; only on the chief.

    Raises:
        RunError: something is wrong; the message is the whole block.
    """
    from tf_logreg.modes import selftest
    from tf_logreg.results import workdir as directory

    block, fault = selftest.block(found), selftest.fault(found)
    notes = {
        "selftest.txt": block + "\n",
        "selftest.json": json.dumps(found, indent=2, allow_nan=False) + "\n",
    }

    def write() -> None:
        for name, text in notes.items() if workdir else ():
            directory.write_note(directory.of(workdir), name, text)

    team.from_chief(write)
    if fault:
        raise RunError(f"{block}\n{fault}")
    if team.is_chief:
        print(block)
        if workdir:
            print(f"It is in {workdir} too: {' and '.join(notes)}.")


def _plan(values: flags.FlagValues) -> None:
    """Plans for a TPU slice, without using any device of this machine."""
    startup.import_tensorflow()
    from tf_logreg.devices import chips
    from tf_logreg.plan import choice, plan, report
    from tf_logreg.results import workdir as directory

    topologies, deadline = chips.expanded(values.topology), values.deadline_minutes
    prices = choice.prices(values.price_per_hour, topologies)
    found = plan.plans(
        values.config,
        topologies,
        num_rows=values.plan_rows,
        num_features=values.plan_features,
        num_classes=values.plan_classes,
        dtype=values.dtype,
        num_passes=values.plan_passes,
    )
    offers = [choice.offer(one, prices, deadline) for one in found]
    for one, its in zip(found, offers, strict=True):
        one["offer"] = {"seconds": its.seconds, "cost": its.cost, "in_time": its.in_time}
    if len(found) == 1:
        print(report.table(found[0]))
        if prices or deadline:
            print(report.choice(offers, deadline))
    else:
        print(report.of_several(found, offers, deadline))
    if values.workdir:
        best = choice.cheapest(offers)
        several = {"plans": found, "cheapest": best.topology if best else None}
        text = json.dumps(found[0] if len(found) == 1 else several, indent=2) + "\n"
        directory.write_note(directory.of(values.workdir), "plan.json", text)
        print(f"It is in {values.workdir}/plan.json too.")


def _next_commands(workdir: str) -> str:
    """What a person who fitted a table may want next."""
    program = "python run.py" if sys.argv[0].endswith("run.py") else "tf_logreg"
    return (
        "Next:\n"
        f"  {program} --mode=evaluate --workdir={workdir} --data=OTHER.csv\n"
        f"  {program} --mode=predict --workdir={workdir} --input=NEW.csv --output=scores.csv --explain=3"
    )


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
    sys.exit(exit_code(sys.argv, flags.FLAGS))


if __name__ == "__main__":
    main()
