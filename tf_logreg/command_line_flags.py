"""The flags of the command line: their definitions, and argv -> their values, the config among them.

A mistake in them is answered at once: nothing here imports TensorFlow.
"""

import traceback
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from tf_logreg import config as configs
from tf_logreg import precedence, storage
from tf_logreg.devices import choices
from tf_logreg.errors import InputError
from tf_logreg.export import formats

MODES = ("train", "evaluate", "compare", "predict", "describe", "report", "export", "selftest", "plan")


def define(values: flags.FlagValues, argv: list[str]) -> None:
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
        "work directory holds again; compare: measure it and --baseline on the same rows; "
        "predict: score the rows of a table; describe: what the columns of a "
        "table are and become; report: write its report.html again; export: write its SavedModel again, or "
        "the model as another --format; selftest: checks and speeds of these devices; plan: what the job "
        "needs and takes on a TPU slice, with no TPU.",
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
    flags.DEFINE_enum(
        "format",
        "saved_model",
        tuple(formats.FILES),
        "With --mode=export, what the model is written as: export/, or a file model.* in the work directory.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "report",
        True,
        "With --mode=train, write report.html too: the run as a page to read and to hand on.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "baseline", "", "With --mode=compare, the directory of the run to compare with.", flag_values=values
    )
    flags.DEFINE_string("workdir", "", "Directory for the run's files.", flag_values=values)
    flags.DEFINE_bool(
        "overwrite", False, "Replace the run of ours in --workdir, an unfinished one too.", flag_values=values
    )
    _define_table(values)
    _define_devices(values)
    _define_plan(values)


def _define_table(values: flags.FlagValues) -> None:
    """Flags of tables: what is read and written, and the columns."""
    flags.DEFINE_string(
        "data",
        "",
        "A table in CSV or Parquet files, short for --config=table --config.data.args.path=...",
        flag_values=values,
    )
    flags.DEFINE_string(
        "label", "", "The column to predict, short for --config.data.label=...", flag_values=values
    )
    flags.DEFINE_string("input", "", "With --mode=predict, the table to score.", flag_values=values)
    flags.DEFINE_string(
        "output", "", "With --mode=predict, the file to write: .csv, .csv.gz or .parquet.", flag_values=values
    )
    flags.DEFINE_list(
        "keep", [], "With --mode=predict, columns of the input to write too.", flag_values=values
    )
    flags.DEFINE_integer(
        "explain",
        0,
        "With --mode=predict, how many columns are named that moved a row most from the average.",
        lower_bound=0,
        flag_values=values,
    )


def _define_devices(values: flags.FlagValues) -> None:
    """Flags of where a run computes, and how."""
    flags.DEFINE_enum(
        "distribution_strategy",
        "auto",
        choices.KINDS,
        "Where replicas live. auto: a cluster's workers, else a TPU, else all GPUs, else the CPU.",
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
    flags.DEFINE_enum("dtype", "float32", choices.DTYPES, "How X is kept while training.", flag_values=values)
    flags.DEFINE_enum(
        "engine",
        "auto",
        choices.ENGINES,
        "What makes the passes of a full-batch fit: NumPy on the host, or TensorFlow on the devices; "
        "auto: the host where a process has only its CPU.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "device_memory_fraction",
        0.5,
        "Training rows within this share of device memory are placed there once; more are streamed.",
        flag_values=values,
    )


def _define_plan(values: flags.FlagValues) -> None:
    """Flags of --mode=plan."""
    flags.DEFINE_list(
        "topology",
        ["v5e:2x4"],
        "The TPU slices that --mode=plan plans for; 'v5e' is every slice of that kind.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "price_per_hour",
        [],
        "With --mode=plan, what a chip costs an hour: a number, or 'v5e=1.2,v6e=2.7'. The cheapest slice "
        "that fits is named.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "deadline_minutes",
        0.0,
        "With --mode=plan, how long the fit may take on that slice; 0 for any time.",
        lower_bound=0.0,
        flag_values=values,
    )
    for name in ("rows", "features", "classes"):
        text = f"Training {name} that --mode=plan plans for; 0 takes them from the config's source."
        flags.DEFINE_integer(f"plan_{name}", 0, text, flag_values=values)
    flags.DEFINE_integer(
        "plan_passes", 0, "Passes of a solve that --mode=plan plans for; 0 measures them.", flag_values=values
    )


def parse(argv: list[str], values: flags.FlagValues) -> None:
    """Defines and parses the flags.

    Args:
        argv: the program's name and its arguments; the first may be a mode's name alone.
        values: where the flags go; `flags.FLAGS` for a program.

    Raises:
        InputError: a flag or an override that cannot be used, no such config, or one with other fields.
    """
    if len(argv) > 1 and argv[1] in MODES:  # `tf_logreg predict ...`
        argv = [argv[0], f"--mode={argv[1]}", *argv[2:]]
    argv = _with_table(argv)
    argv = [
        _resolve_config(argument, previous) for previous, argument in zip(["", *argv[:-1]], argv, strict=True)
    ]
    try:
        define(values, argv)
        rest = values(argv)
        if values.config is not None:
            precedence.settle(values.config, values["config"].override_values)
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
    if values.config is not None:
        configs.check_structure(values.config)


def _with_table(argv: list[str]) -> list[str]:
    """The arguments with what --data and --label are short for; both stay, as the flags that they are."""
    given = {}
    for previous, argument in zip(["", *argv[:-1]], argv, strict=True):
        for name in ("data", "label", "config", "mode"):
            if argument.startswith((f"--{name}=", f"-{name}=")):
                given[name] = argument.partition("=")[2]
            elif previous in (f"--{name}", f"-{name}"):
                given[name] = argument
    if given.get("mode") == "predict" and "config" not in given:
        return [argv[0], "--config=table", *argv[1:]]  # for the form of the rows to score
    if not given.get("data"):
        return argv
    more = [] if "config" in given else ["--config=table"]
    more.append(f"--config.data.args.path={given['data']}")
    if given.get("label"):
        more.append(f"--config.data.label={given['label']}")
    if given.get("mode") in ("evaluate", "compare") and "config" not in given:
        more.append("--config.data.test_fraction=0.0")  # all rows are measured
    return [argv[0], *more, *argv[1:]]


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
