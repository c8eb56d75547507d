"""solver.prior: the coefficients of an earlier run, towards which l2 pulls those of this one."""

import dataclasses
import logging

from ml_collections import ConfigDict

from tf_logreg.data import digest
from tf_logreg.data.dataset import Dataset
from tf_logreg.data.prior import Prior
from tf_logreg.devices.devices import Devices
from tf_logreg.model import coefficients
from tf_logreg.model import head as heads
from tf_logreg.results import workdir as directory

log = logging.getLogger(__name__)

_FIELD = "solver.prior"


def with_prior(config: ConfigDict, dataset: Dataset, devices: Devices) -> Dataset:
    """The dataset with the prior that the config names, which the chief reads; itself without one.

    Raises:
        InputError: there is no such run, or it has other classes, another output, or none of the features.
    """
    if not config.solver.prior:
        return dataset
    source, folder = dataset.source, directory.of(config.solver.prior, _FIELD)
    head = heads.resolve(config.model.output, dataset.num_classes)
    names = source.feature_names, source.class_names
    kernel, bias, matched, left_out = devices.from_chief(
        lambda: coefficients.read_prior(folder, *names, head)
    )
    unknown = dataset.num_features - matched
    log.info(
        "solver.prior: l2 pulls %d coefficients towards those of %s, and %d towards zero.",
        matched, folder.path, unknown,
    )  # fmt: skip
    if unknown or left_out:
        log.warning(
            "solver.prior: %d of %d features are not in %s, and %d of its features are not here.",
            unknown, dataset.num_features, folder.path, left_out,
        )  # fmt: skip
    # Rows of a fit without files have no digests. Other workers need not have the run.
    files = devices.from_chief(lambda: with_digest(config, dataset.files, {})) if dataset.files else {}
    prior = Prior(kernel, bias, config.solver.prior, matched, left_out)
    return dataclasses.replace(dataset, files=files, prior=prior)


def with_digest(config: ConfigDict, found: dict, known: dict) -> dict:
    """Digests of a run's data with that of the prior's coefficients: others make another fit.

    Args:
        config: its solver.prior is read.
        found: as `identity.digests` gives them. known: an earlier result, which may save reading files again.
    """
    if not config.solver.prior:
        return found
    path = directory.of(config.solver.prior, _FIELD).where(coefficients.NAME)
    own = digest.digests({_FIELD: path}, known.get("files", {}))
    return {**found, "files": {**found["files"], **own}}
