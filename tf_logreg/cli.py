"""The command line: absl flags -> config -> strategy -> the chosen mode -> an exit code.

0 done; 1 the run failed; 2 bad flags, config or data; 3 interrupted (design.md, 'Exit codes').
"""

import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's own notes are not about the run

import tensorflow as tf
from absl import flags
from ml_collections import config_flags

from tf_logreg import config as configs
from tf_logreg import signals, storage, training
from tf_logreg.devices import strategies, workers
from tf_logreg.errors import InputError, InterruptError, RunError
from tf_logreg.modes import evaluate, export, selftest
from tf_logreg.results import workdir as directory

MODES = ("train", "evaluate", "export", "selftest", "plan")


def define_flags(values: flags.FlagValues, argv: list[str]) -> None:
    """Defines all flags on `values`; argv is where overrides of config fields are looked up."""
    config_flags.DEFINE_config_file(
        "config",
        None,
        "A config file, or a shipped one's name (digits, mnist, ...); --config.l2=1e-3 overrides.",
        lock_config=False,  # `validate` refuses unknown fields, all at once
        accept_new_attributes=True,
        flag_values=values,
        sys_argv=argv,
    )
    flags.DEFINE_enum(
        "mode",
        "train",
        MODES,
        "train: fit, evaluate, save and export; evaluate: measure what a "
        "work directory holds again; export: write its SavedModel again; plan: what the job needs and takes "
        "on a TPU slice, with no TPU.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "version",
        None,
        "With --mode=export, the number of a folder in export/, as TensorFlow Serving wants it.",
        lower_bound=0,
        upper_bound=2**63 - 1,
        flag_values=values,
    )
    flags.DEFINE_string("workdir", "", "Directory for the run's files.", flag_values=values)
    flags.DEFINE_enum(
        "distribution_strategy",
        "one_device",
        strategies.KINDS,
        "Where replicas live.",
        case_sensitive=False,
        flag_values=values,
    )
    flags.DEFINE_integer("num_gpus", -1, "GPUs to use; -1 for all.", flag_values=values)
    flags.DEFINE_integer(
        "num_virtual_cpus", 0, "Split the CPU into this many logical devices.", flag_values=values
    )
    flags.DEFINE_string(
        "worker_hosts",
        "",
        "multi_worker_mirrored: HOST:PORT,HOST:PORT,... of every worker, the chief first. TF_CONFIG wins.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "task_index", -1, "multi_worker_mirrored: this worker's place in --worker_hosts.", flag_values=values
    )
    flags.DEFINE_float(
        "startup_timeout",
        300.0,
        "Seconds that workers wait for each other.",
        lower_bound=0.0,
        flag_values=values,
    )
    flags.DEFINE_string(
        "all_reduce_alg",
        "",
        "How replicas add up. mirrored: nccl, hierarchical_copy; multi_worker_mirrored: ring, nccl.",
        flag_values=values,
    )
    flags.DEFINE_string("tpu_zone", "", "Zone of the TPU that --tpu names.", flag_values=values)
    flags.DEFINE_string("gcp_project", "", "Project of the TPU that --tpu names.", flag_values=values)
    flags.DEFINE_bool(
        "deterministic",
        False,
        "The same command on the same devices gives the same bits; slower on GPUs.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "tpu", "", "TPU name or grpc:// address; '' or local for one in this machine.", flag_values=values
    )
    flags.DEFINE_enum(
        "dtype", "float32", training.DTYPES, "How X is kept while training.", flag_values=values
    )
    flags.DEFINE_float(
        "device_memory_fraction",
        0.5,
        "Training rows within this share of device memory are placed there once; more are streamed.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "topology", "v5e:2x4", "The TPU slice that --mode=plan plans for.", flag_values=values
    )
    for name in ("rows", "features", "classes"):
        text = f"Training {name} that --mode=plan plans for; 0 takes them from the config's source."
        flags.DEFINE_integer(f"plan_{name}", 0, text, flag_values=values)
    flags.DEFINE_integer(
        "plan_passes", 0, "Passes of a solve that --mode=plan plans for; 0 measures them.", flag_values=values
    )
    flags.DEFINE_bool(
        "overwrite", False, "Replace the run of ours in --workdir, an unfinished one too.", flag_values=values
    )


def parse(argv: list[str], values: flags.FlagValues) -> None:
    """Defines and parses the flags.

    Args:
        argv: the program's name and its arguments.
        values: where the flags go; `flags.FLAGS` for a program.

    Raises:
        InputError: a flag or an override that cannot be used, or no such config.
    """
    argv = [
        _resolve_config(argument, previous) for previous, argument in zip(["", *argv[:-1]], argv, strict=True)
    ]
    try:
        define_flags(values, argv)
        rest = values(argv)
        if values.config is not None:
            configs.settle(values.config, values["config"].override_values)
            values.config.lock()
    except (
        flags.Error,
        config_flags.config_flags.UnsupportedOperationError,
        ValueError,
        TypeError,
        OSError,
    ) as error:
        raise InputError(f"flags: {' '.join(str(error).split())}") from None
    except (KeyError, AttributeError) as error:  # an override below a field that has nothing below it
        raise InputError(f"--config: no such field: {' '.join(str(error.args[0]).split())}") from None
    except Exception as error:  # a config is Python, and may raise anything
        last = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(f"--config: {why} ({last.filename}:{last.lineno}).") from None
    if len(rest) > 1:
        raise InputError(f"flags: expected --name=value only. Received: {' '.join(rest[1:])}.")


def _resolve_config(argument: str, previous: str) -> str:
    """The name of a shipped config -> its path; all else as it is."""
    if previous in ("-config", "--config"):
        prefix, name = "", argument
    elif argument.startswith(("-config=", "--config=")):
        prefix, name = argument.split("=", 1)[0] + "=", argument.split("=", 1)[1]
    else:
        return argument
    known = configs.shipped()
    if name.split(":")[0] not in known or Path(name.split(":")[0]).is_file():
        name = storage.local_path(name, "--config")
    name, colon, rest = name.partition(":")  # what follows the colon goes to the file's get_config
    if Path(name).is_file():
        return prefix + name + colon + rest
    if name not in known:
        raise InputError(f"--config: expected a file or one of {', '.join(known)}. Received: {name!r}.")
    return prefix + str(known[name]) + colon + rest


def run(values: flags.FlagValues) -> None:
    """Runs the chosen mode and prints what it found.

    Raises:
        InputError, RunError, InterruptError: as `exit_code` turns them into codes.
    """
    if values.version is not None and values.mode != "export":
        raise InputError(f"--version: expected --mode=export beside it. Received: --mode={values.mode}.")
    if values.mode == "plan":
        _plan(values)
        return
    if values.mode == "train":
        _need_config(values)
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
    strategy = strategies.make_strategy(values.distribution_strategy, **where, job=_job(values))
    with workers.of(strategy).watched():
        _run_mode(values, strategy, {"distribution_strategy": values.distribution_strategy, **where})


def _job(values: flags.FlagValues) -> dict[str, Any]:
    """What every worker must be told alike: some flags, and each field of the config by its own name."""
    fields = {} if values.config is None else values.config.to_dict()
    while nested := [name for name, value in fields.items() if isinstance(value, dict) and value]:
        for name in nested:
            fields.update({f"{name}.{key}": value for key, value in fields.pop(name).items()})
    return {
        **{f"--{name}": values[name].value for name in ("mode", "dtype", "deterministic")},
        **{f"--config.{name}": value for name, value in fields.items()},
    }


def _run_mode(values: flags.FlagValues, strategy, where: dict) -> None:
    """Runs the chosen mode on its devices; `where` is for the record. Of several workers the chief speaks."""
    team = workers.of(strategy)
    is_chief = team.is_chief
    if values.mode == "train":
        found = training.train_and_evaluate(
            values.config,
            values.workdir,
            strategy=strategy,
            dtype=values.dtype,
            device_memory_fraction=values.device_memory_fraction,
            overwrite=values.overwrite,
            record={"flags": {**where, "deterministic": values.deterministic}},
        )
        if not is_chief:
            return
        print(f"{found['status']}: {found['message']}. Objective {found['objective']:.6f} nats.")
        if found["certified_gap"] is not None:
            print(
                f"  at most {found['certified_gap']:.1e} nats above the optimum, "
                f"{found['relative_gap']:.1e} of the loss without features; {found['passes']:.0f} passes."
            )
        if found["path"] is not None:
            print(_choice(found["path"]))
        print(_table(found["metrics"]))
        if found["communication"] is not None:
            share = f"{found['communication']:.0%}"
            print(f"  {found['num_workers']} workers; communication took about {share} of the fit.")
        print(f"Everything is in {values.workdir}: result.json, model.keras, export/.")
        return

    if values.mode == "selftest":
        block = selftest.run(strategy, values.dtype)
        print(block)
        if values.workdir:
            team.from_chief(
                lambda: directory.write_note(directory.of(values.workdir), "selftest.txt", block + "\n")
            )
            if is_chief:
                print(f"It is in {values.workdir}/selftest.txt too.")
    elif values.mode == "evaluate":
        numbers = evaluate.evaluate_run(values.workdir, strategy=strategy, config=values.config)
        if is_chief:
            print(_table(numbers))
    else:
        folder = team.from_chief(
            lambda: export.export_run(values.workdir, values.version, overwrite=values.overwrite)
        )
        if is_chief:
            print(folder)


def _need_config(values: flags.FlagValues) -> None:
    if values.config is None:
        raise InputError(
            f"--config: expected a file or one of {', '.join(configs.shipped())}. Received: nothing."
        )


def _plan(values: flags.FlagValues) -> None:
    """Plans for a TPU slice; no device of this machine is asked for."""
    from tf_logreg.plan import plan, report

    _need_config(values)
    found = plan.plan(
        values.config,
        values.topology,
        num_rows=values.plan_rows,
        num_features=values.plan_features,
        num_classes=values.plan_classes,
        dtype=values.dtype,
        num_passes=values.plan_passes,
    )
    print(report.table(found))
    if values.workdir:
        text = json.dumps(found, indent=2) + "\n"
        directory.write_note(directory.of(values.workdir), "plan.json", text)
        print(f"It is in {values.workdir}/plan.json too.")


def _choice(path: dict) -> str:
    """The strength that held-out rows prefer, a line, and another where it is at an end of what was tried."""
    scores = path["scores"][path["choice"]]
    line = (
        f"  {path['penalty']}={path['chosen']:.3g}, number {path['choice'] + 1} of {len(path['values'])}: "
        f"held-out log loss {sum(scores) / len(scores):.6f} (all in path.csv, path.png)."
    )
    return line + (f"\n  {path['note'][0].upper()}{path['note'][1:]}" if path.get("note") else "")


def _table(numbers: dict[str, dict]) -> str:
    """Metrics by split, a line each."""
    lines = []
    for role, values in numbers.items():
        auc = values["roc_auc"]
        lines.append(
            f"  {role:<10} {values['num_rows']:>9,} rows   log loss {values['log_loss']:.6f}   "
            f"accuracy {values['accuracy']:.4f}   ROC AUC {'-' if auc is None else format(auc, '.4f')}"
        )
    return "\n".join(lines)


def exit_code(argv: list[str], values: flags.FlagValues) -> int:
    """Parses, runs, and turns our errors into a message and a code; other errors are bugs."""
    try:
        parse(argv, values)
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
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        why = " ".join(str(error).split())[:200] or "the system gave no more"
        print(
            f"memory: expected a job that fits. {why}. Take fewer rows, features or classes.", file=sys.stderr
        )
        return 2
    return 0


def main() -> None:
    """The program, behind `__main__.main`."""
    signals.hear()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("tf_logreg").setLevel(logging.INFO)
    if any(argument in ("-h", "--help", "--helpfull", "--helpshort") for argument in sys.argv[1:]):
        define_flags(flags.FLAGS, sys.argv)
        print(__doc__, flags.FLAGS.module_help("tf_logreg.cli"), sep="\n")
        sys.exit(0)
    sys.exit(exit_code(sys.argv, flags.FLAGS))


if __name__ == "__main__":
    main()
