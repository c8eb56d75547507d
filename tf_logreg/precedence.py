"""What counts where a config file and the command line ask for different things: what was typed."""

import logging
from collections.abc import Collection

from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg import faults

log = logging.getLogger(__name__)


def settle(config: ConfigDict, given: Collection[str]) -> None:
    """Settles what a config file leaves open to a penalty that the command line asks for, and says so.

    Of C on one side, l1 and l2 on the other, what the command line gives counts. A strength that the command
    line gives ends the path of the config file that tries others, and folds without a path are none. With a
    path the single strength of the penalty that it tries is not looked at, and 5 folds choose where there are
    neither folds nor validation rows. A file of test or validation rows is their split, unless it is said
    what is.
    From Python nothing is settled: `validate` says what contradicts.

    Args:
        config: changed in place.
        given: dotted names of the fields that the command line gave, which stay as they are.
    """
    if any(faults.structure_faults(config, configs.get_config())):
        return  # `validate` names them
    _settle_inference(config, given)
    _settle_path(config, given)
    penalty, data = config.path.penalty, config.data
    for name in ("C", "l1", "l2"):
        others = ("l1", "l2") if name == "C" else ("C",)
        tried = penalty and (name in (penalty, "C") or penalty == "elastic_net")
        if config[name] and name not in given and (tried or any(other in given for other in others)):
            why = "path.penalty tries many" if tried else f"the command line gives {' or '.join(others)}"
            log.info("%s=%g of the config file is not looked at: %s.", name, config[name], why)
            config[name] = 0.0
    for name, other in (("values", "C"), ("C", "values")):
        if f"path.{name}" in given and config.path[other] and f"path.{other}" not in given:
            log.info(
                "path.%s of the config file is not looked at: the command line gives path.%s.", other, name
            )
            config.path[other] = ()
    for role in ("validation", "test"):
        paths = {name: data.args.get(name) for name in (f"{role}_path", f"{role}_x")}
        argument = next((name for name, path in paths.items() if isinstance(path, str) and path), "")
        asked = {f"data.{role}_split", f"data.{role}_fraction"} & set(given)
        if argument and not data[f"{role}_split"] and not asked:
            log.info("data.%s_split=%r, the rows of data.args.%s.", role, role, argument)
            data[f"{role}_split"], data[f"{role}_fraction"] = role, 0.0
    chooses = config.cv.folds or data.validation_fraction or data.validation_split
    if penalty and not chooses and "cv.folds" not in given:
        log.info("cv.folds=5, as there are no validation rows to choose by.")
        config.cv.folds = 5


def _settle_inference(config: ConfigDict, given: Collection[str]) -> None:
    """Leaves out penalties and held-out rows of the config file where standard errors are asked for."""
    if not config.inference.cov_type or "inference.cov_type" not in given:
        return
    dropped, default = [], configs.get_config()

    def drop(*fields: str) -> None:
        """Sets fields that the command line did not give to their defaults."""
        for field in fields:
            section, _, name = field.rpartition(".")
            own, usual = (config[section], default[section]) if section else (config, default)
            if own[name] != usual[name] and field not in given:
                dropped.append(f"{field}={own[name]}")
                own[name] = usual[name]

    drop("l1", "l2", "C")
    if not config.C:
        drop("l1_ratio")
    if not any(name.startswith(("path.", "cv.")) for name in given):
        drop(*(f"path.{name}" for name in config.path), *(f"cv.{name}" for name in config.cv))
    drop("data.validation_fraction", "data.test_fraction", "data.refit")
    if not (config.data.validation_fraction or config.data.test_fraction or config.cv.folds):
        drop(
            "data.time",
            *["data.group"]
            * (not (config.inference.bootstrap or config.inference.cov_type.startswith("cluster"))),
        )
    if config.solver.name == "minibatch":
        drop("solver.name")
    if dropped:
        log.info("inference.cov_type: %s of the config file are not looked at.", ", ".join(dropped))


def _settle_path(config: ConfigDict, given: Collection[str]) -> None:
    """Ends a path of the config file, and its folds, where the command line gives the strength itself."""
    penalty = config.path.penalty
    tried = ("l1", "l2", "C") if penalty == "elastic_net" else (penalty, "C")
    strengths = [name for name in tried if name in given and config[name]]
    if penalty and strengths and not any(name.startswith(("path.", "cv.")) for name in given):
        log.info("path.penalty=%s is not looked at: the command line gives %s.", penalty, strengths[0])
        config.path.penalty = ""
    if not config.path.penalty and config.cv.folds and "cv.folds" not in given:
        log.info("cv.folds=%d is not looked at: one strength is fitted.", config.cv.folds)
        config.cv.folds = 0
