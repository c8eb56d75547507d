"""`--mode=compare`: two finished runs on the same rows, which neither was fitted to."""

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import identity
from tf_logreg.data.encoders import HERE
from tf_logreg.errors import InputError
from tf_logreg.modes import evaluate
from tf_logreg.results import comparison
from tf_logreg.results import workdir as directory

_ROLES = ("test", "validation")  # the first that both runs have


def compare_runs(workdir: str, baseline: str, config: ConfigDict | None = None) -> dict:
    """Paired differences of two runs' metrics, their coefficients side by side, and what they were asked for.

    Args:
        workdir, baseline: of finished runs with the same classes.
        config: names other data to compare them on; None for the test rows, or else the validation rows, of
            their own, which must be the same in both runs.

    Returns:
        What `compare.json` in workdir holds: `comparison.lines` prints it.

    Raises:
        InputError: no finished runs, of other classes, or on other rows.
    """
    folders = directory.of(workdir), directory.of(baseline, "--baseline")
    results, models, configs, sources, roles = zip(
        *(evaluate.read_rows(folder, config, HERE) for folder in folders), strict=True
    )
    if models[0].class_names != models[1].class_names:
        raise InputError(
            f"--baseline: expected a run with the classes {', '.join(models[0].class_names[:20])}. "
            f"Received: {', '.join(models[1].class_names[:20])}."
        )
    role, rows = _rows(roles, results, other_data=config is not None)
    found = [
        comparison.answers(model, source, ids)
        for model, source, ids in zip(models, sources, rows, strict=True)
    ]
    made_from = [_made_from(one) for one in configs]
    digests = [comparison.digest(*one) for one in zip(rows, found, made_from, strict=True)]
    if digests[0] != digests[1]:
        raise InputError(_other_rows(made_from, rows, found, role))
    if not all(np.isfinite(one.loss).all() for one in found):
        raise InputError("--mode=compare: expected finite logits. Received: infinite ones, or no numbers.")
    made = {
        "workdir": workdir,
        "baseline": baseline,
        "rows": {"role": role, "num_rows": len(found[0].y), "digest": digests[0]},
        "metrics": comparison.differences(*found),
        "coefficients": comparison.coefficients(*models),
        "config": comparison.of_configs(*(directory.read_record(one)["config"] for one in folders)),
    }
    with directory.finished_run(folders[0], results[0]) as mine:
        mine.write_json("compare.json", made)
    return made


def _rows(
    roles: tuple[dict, dict], results: tuple[dict, dict], *, other_data: bool
) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    """The role of the rows to compare on, and their ids in both runs."""
    if other_data:
        return "all", tuple(np.sort(np.concatenate(list(one.values()))) for one in roles)
    role = next((role for role in _ROLES if role in roles[0] and role in roles[1]), "")
    if not role:
        raise InputError(
            "--mode=compare: expected runs with test or validation rows, or other rows by --data. Received: "
            "training rows alone, which do not tell which model is better."
        )
    if any(one.get("measured") for one in results):
        raise InputError(
            "--mode=compare: expected other rows by --data, as a model with data.refit='all' was fitted to "
            f"the {role} rows too. Received: none."
        )
    return role, (roles[0][role], roles[1][role])


def _made_from(config: ConfigDict) -> list:
    """What tells the rows of a source from others: the bytes of its files, or its arguments without any."""
    files = identity.of_rows(config)["files"]
    if files:
        return sorted(one["sha256"] for one in files.values())
    return [config.data.source, sorted(config.data.args.to_dict().items())]


def _other_rows(
    made_from: list[list], rows: tuple[np.ndarray, np.ndarray], found: list[comparison.Answers], role: str
) -> str:
    """Message about runs on other rows."""
    what = "other data"
    if made_from[0] == made_from[1]:
        what = f"other {role} rows of the same data, {len(rows[0])} and {len(rows[1])}"
        if np.array_equal(*rows) and np.array_equal(*(one.y for one in found)):
            what = "the same rows with other weights (data.weight)"
    return (
        f"--baseline: expected a run with the same {role} rows (data, seed and fractions). Received: {what}. "
        "Give --data to compare both on other rows."
    )
