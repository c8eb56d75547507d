"""From the config's data section to rows that are split, checked and counted."""

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import workers
from tf_logreg.data import digest, pipeline, split, standardize
from tf_logreg.data.load import files, load, version
from tf_logreg.data.source import Source, describe, with_offset, with_positive_class
from tf_logreg.errors import InputError
from tf_logreg.model import dense


def read_data(config: ConfigDict) -> tuple[Source, dict[str, np.ndarray]]:
    """The source that the config names and its row ids by role: train, validation, test."""
    source = load(config.data.source, **config.data.args)
    if config.data.positive_class:
        source = with_positive_class(source, config.data.positive_class)
    if config.data.offset:
        output = dense.resolve_output(config.model.output, len(source.class_names))
        outputs = 1 if output == "sigmoid" else len(source.class_names)
        source = with_offset(source, config.data.offset, outputs)
    names = set(config.data) - {"source", "args", "positive_class", "offset"}
    return source, split.split_rows(source, seed=config.seed, **{name: config.data[name] for name in names})


def digests(config: ConfigDict, known: dict) -> dict:
    """What the data are: the source's version and digests of its files.

    Args:
        config: its data section is read.
        known: an earlier answer, which may save reading files again; {} for none.
    """
    source, args = config.data.source, config.data.args
    return {
        "version": version(source),
        "files": digest.digests(files(source, **args), known.get("files", {})),
    }


def read_unchanged(config: ConfigDict) -> tuple[Source, dict[str, np.ndarray], dict]:
    """`read_data`, and the digests of what it read.

    Raises:
        InputError: a file changed while it was read.
    """
    before = digests(config, {})
    source, rows = read_data(config)
    after = digests(config, before)
    for name, file in before["files"].items():
        if after["files"].get(name, {}).get("sha256") != file["sha256"]:
            raise InputError(f"data: {name!r} changed while it was read. Start again when it is whole.")
    return source, rows, after


def scan_rows(source: Source, rows: np.ndarray, team: workers.Workers | None = None) -> standardize.Scan:
    """Checks and moments of some rows; each worker of a team reads its own.

    Raises:
        InputError: a number that cannot be used, with its place, or no weight at all.
    """
    if team is None or team.count == 1:
        found = standardize.scan(pipeline.host_batches(source, rows), source)
    else:
        mine = pipeline.rows_of(rows, team.replicas, team.strategy.num_replicas_in_sync)
        own = team.together(lambda: standardize.scan(pipeline.host_batches(source, mine), source))
        found = standardize.merged(team.every(own))
    if not found.weight_sum > 0:
        raise InputError(
            f"weight: expected some rows with a weight > 0. Received: {len(rows)} rows of weight 0."
        )
    return found


def check_training_classes(source: Source, scan: standardize.Scan) -> None:
    """Every class must be there to be learnt.

    Raises:
        InputError: a class has no training row of weight > 0.
    """
    absent = tuple(np.array(source.class_names)[scan.class_weight_sum == 0].tolist())
    if absent:
        raise InputError(
            f"y: expected training rows of every class. Received: none of {describe(absent)}, of "
            f"{len(source.class_names)} classes."
        )
