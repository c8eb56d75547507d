"""What each mode of the command line does and prints.

TensorFlow takes seconds to import. Modules that need it are imported inside functions, so that mistakes in
flags and config fields are answered first.
"""

import json
import sys
from typing import Any

from absl import flags

from tf_logreg import startup
from tf_logreg.errors import RunError


def where(values: flags.FlagValues) -> dict[str, Any]:
    """Flags that say which devices, by name, as `make_strategy` takes them."""
    names = (
        "num_gpus",
        "num_virtual_cpus",
        "all_reduce_alg",
        "worker_hosts",
        "task_index",
        "startup_timeout",
    )
    return {name: values[name].value for name in (*names, "tpu", "tpu_zone", "gcp_project")}


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


def _train(values: flags.FlagValues, strategy: Any) -> None:
    """Runs the config. Only the chief writes and prints."""
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
        record={
            "flags": {
                "distribution_strategy": values.distribution_strategy,
                **where(values),
                "deterministic": values.deterministic,
            }
        },
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
    show_selftest(found, values.workdir, workers.of(strategy))


def show_selftest(found: dict[str, Any], workdir: str, team) -> None:
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


# By mode: those that need no strategy, called with the flags, and those that are called with both.
ALONE = {
    "describe": _describe,
    "predict": _predict,
    "report": _report,
    "compare": _compare,
    "plan": _plan,
}
ON_DEVICES = {"train": _train, "selftest": _selftest, "evaluate": _evaluate, "export": _export}
