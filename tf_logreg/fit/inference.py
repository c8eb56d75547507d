"""Inference of a fit without penalties: its optimum to the last digit, and standard errors there."""

import dataclasses
import logging

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.exact import information
from tf_logreg.fit import likelihood, profile
from tf_logreg.fit.full_batch import null_model, optimum
from tf_logreg.fit.likelihood import Maximum, Rows
from tf_logreg.fit.result import Fit, Status
from tf_logreg.model import head as heads
from tf_logreg.model.inference import Inference
from tf_logreg.model.model import BIAS
from tf_logreg.names import describe, told_apart

log = logging.getLogger(__name__)

_MATRICES = 6  # of the information's size, in memory at once beside those of each core
_TAKES_PART = 1e-4  # of a column in a combination that the rows do not determine


def check(settings: ConfigDict, dataset: Dataset, devices: Devices) -> None:
    """Checks before a fit that its standard errors can be had.

    Raises:
        InputError: they cannot, and why.
    """
    asked, head = settings.inference, heads.resolve(settings.model.output, dataset.num_classes)
    if not asked.cov_type:
        return
    if head.is_one_vs_rest:
        raise InputError(
            "inference.cov_type: expected one model of all classes. Received: model.output='one_vs_rest', "
            "whose models are fitted to the same rows: take 'softmax'."
        )
    names = dataset.source.class_names
    if asked.reference and asked.reference not in names:
        raise InputError(
            f"inference.reference: expected one of {describe(names)}. Received: {asked.reference!r}."
        )
    if asked.reference and head.num_classes == 2 and asked.reference != names[0]:
        raise InputError(
            f"inference.reference: expected {names[0]!r}, the first of two classes (data.positive_class "
            f"chooses the other). Received: {asked.reference!r}."
        )
    known = groups(dataset.source)
    if unknown := [name for name in asked.profile if name not in known]:
        raise InputError(
            f"inference.profile: expected some of {describe(tuple(known))}. Received: {unknown[0]!r}."
        )
    if dataset.source.weight_exponent:
        raise InputError(
            "inference.cov_type: expected row weights between 2^-60 and 2^60, as they count rows. "
            "Received: others."
        )
    size = (dataset.num_features + settings.model.bias) * (head.num_classes - 1)
    num_groups = _check_groups(settings, dataset) if asked.cov_type.startswith("cluster") else 0
    num_rows = dataset.all_moments.weight_sum if asked.weights == "frequency" else len(dataset.train)
    if num_rows <= size and asked.cov_type in ("HC1", "cluster_small"):
        raise InputError(
            f"inference.cov_type: expected more rows than {size:,} coefficients for {asked.cov_type!r}. "
            f"Received: {num_rows:,.6g}, the sum of their weights; inference.weights='sampling' takes those "
            "of a sample."
        )
    needed, free = 8.0 * (_MATRICES * size + num_groups) * size, devices.host_memory
    if needed > free:
        raise InputError(
            f"inference.cov_type: expected coefficients whose information matrix fits into memory. Received: "
            f"{size:,} of them, which take {needed / 2**30:.1f} GiB of {free / 2**30:.1f} GiB."
        )


def _check_groups(settings: ConfigDict, dataset: Dataset) -> int:
    """The number of groups; InputError where there are fewer than two, or rows without one."""
    of_row = np.asarray(dataset.source.extras[settings.data.group])[dataset.train]
    missing = int((np.isnan(of_row) if of_row.dtype.kind == "f" else of_row == "").sum())
    if missing:
        raise InputError(
            f"data.group: expected a group in each training row. Received: {missing:,} rows without one."
        )
    if (count := len(np.unique(of_row))) < 2:
        raise InputError("data.group: expected at least two groups. Received: one.")
    return count


def with_inference(settings: ConfigDict, fit: Fit, dataset: Dataset, devices: Devices) -> Fit:
    """The fit at its optimum with its inference, where that was asked for.

    Args:
        settings: a config whose section inference says what is asked for; `check` has passed.
        fit: of the dataset's training rows.
        dataset, devices: as of the fit.

    Returns:
        The fit with polished coefficients, whose model has the inference; or as it is with the reason, where
        it has no certified optimum.
    """
    asked = settings.inference
    if not asked.cov_type:
        return fit
    if fit.status is not Status.OPTIMAL:
        reason = f"no standard errors, as the fit is {fit.status}, not optimal: {fit.message}"
        log.warning("inference: %s", reason)
        return dataclasses.replace(fit, no_inference=reason)
    names = dataset.source.class_names
    reference = names.index(asked.reference) if asked.reference else 0
    affine = optimum.columns_of(settings, dataset)
    columns = information.Columns(
        np.arange(dataset.num_features), affine.shift, affine.scale, settings.model.bias, reference
    )
    rows = likelihood.rows_of(settings, dataset, devices, columns.size * (len(names) - 1))
    found = likelihood.maximum(rows, _theta(fit, columns, dataset), columns)
    tests = _tests(asked.tests, rows, found, columns, dataset)
    null = _null(settings, fit, rows, found, columns, dataset)
    inference = _inference(settings, rows, found, null, columns, dataset, tests)
    if inference.undetermined:
        log.warning("inference: %s", inference.undetermined)
    return _polished(fit, found.theta, columns, dataset, inference)


def _theta(fit: Fit, columns: information.Columns, dataset: Dataset) -> np.ndarray:
    """The fit's coefficients [q, J] in the columns of `information`."""
    model = fit.model.in_units(dataset.exponent)
    kernel, bias = model.kernel, model.bias + columns.centre @ model.kernel
    if kernel.shape[1] > 1:
        kernel, bias = (a - a[..., [columns.reference]] for a in (kernel, bias))
        kernel, bias = (np.delete(a, columns.reference, axis=-1) for a in (kernel, bias))
    return np.vstack([kernel / columns.scale[:, None], *[bias] * columns.bias])


def _null(
    settings: ConfigDict,
    fit: Fit,
    rows: Rows,
    found: Maximum,
    columns: information.Columns,
    dataset: Dataset,
) -> float:
    """The log likelihood of the best model without features, nats."""
    if settings.data.offset:
        least, _ = likelihood.restricted(rows, found, columns, np.arange(0))
        return -least.sums.loss
    weight = dataset.all_moments.class_weight_sum
    _, loss = null_model.of_shares(weight / weight.sum(), fit.model.kernel.shape[1], columns.bias)
    return -loss * float(weight.sum())


def _tests(
    names: tuple[str, ...], rows: Rows, found: Maximum, columns: information.Columns, dataset: Dataset
) -> dict[str, dict[str, tuple[float, int]]]:
    """The likelihood-ratio and score tests that are asked for, of each raw column of a table, or feature."""
    tests = {name: {} for name in ("lr", "score") if name in names}
    for name, features in groups(dataset.source).items() if tests else ():
        least, theta = likelihood.restricted(rows, found, columns, np.setdiff1d(columns.features, features))
        df = found.rank - least.rank
        if "lr" in tests:
            tests["lr"][name] = 2 * (least.sums.loss - found.sums.loss), df
        if "score" in tests:
            there = rows.sums(theta, columns)
            inverse, _ = information.inverse(there.information, rows.least)
            tests["score"][name] = float(there.score @ inverse @ there.score), df
    return tests


def groups(source: Source) -> dict[str, np.ndarray]:
    """Indices of features by what is tested together: columns and crosses of a table, or single features."""
    schema = source.schema
    if schema is None:
        return {name: np.array([j]) for j, name in enumerate(told_apart(source.feature_names))}
    names = [c.name for c in schema.columns] + [" x ".join(c.columns) for c in schema.crosses]
    of_feature = np.asarray(schema.columns_of_features)
    return {names[k]: np.flatnonzero(of_feature == k) for k in np.unique(of_feature)}


def _inference(
    settings: ConfigDict,
    rows: Rows,
    found: Maximum,
    null: float,
    columns: information.Columns,
    dataset: Dataset,
    tests: dict,
) -> Inference:
    """What is said, in raw units."""
    asked, names = settings.inference, dataset.source.class_names
    by_row = asked.weights == "sampling"
    num_rows = float(found.sums.num_rows if by_row else dataset.all_moments.weight_sum)
    covariance = _covariance(asked.cov_type, rows, found, columns, num_rows, power=2 if by_row else 1)
    # Of raw columns in units of their deviations: raw units may be too large to be squared.
    to_raw, unit = _to_raw(columns, dataset.exponent)
    whole = np.kron(np.eye(found.theta.shape[1]), to_raw)
    covariance = whole @ covariance @ whole.T
    unknown = _undetermined(found, whole, columns)
    covariance[unknown] = covariance[:, unknown] = np.nan
    std_error = np.sqrt(np.diag(covariance))
    outputs = tuple(np.delete(np.array(names, object), columns.reference))
    inference = Inference(
        theta=unit[:, None] * (to_raw @ found.theta),
        std_error=unit[:, None] * std_error.reshape(found.theta.shape[::-1]).T,
        correlation=covariance / np.outer(std_error, std_error),
        outputs=outputs,
        reference=names[columns.reference],
        features=(*dataset.source.feature_names, *[BIAS] * columns.bias),
        cov_type=asked.cov_type,
        level=asked.level,
        is_sample=by_row,
        num_rows=num_rows,
        log_likelihood=-found.sums.loss,
        null_log_likelihood=null,
        rank=found.rank,
        null_rank=len(outputs) * columns.bias,
        error=float(np.sqrt(2 * max(found.gap, 0.0))),
    )
    if asked.profile:
        low, high = _profile(asked, rows, found, columns, dataset)
        inference = dataclasses.replace(
            inference, profile_low=unit[:, None] * low, profile_high=unit[:, None] * high
        )
    if "wald" in asked.tests:
        wald = {name: inference.wald(at) for name, at in groups(dataset.source).items()}
        tests = {"wald": wald, **tests}
    return dataclasses.replace(inference, tests=tests)


def _profile(
    asked: ConfigDict, rows: Rows, found: Maximum, columns: information.Columns, dataset: Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Ends [q, J] of the profile-likelihood intervals that are asked for, in columns; NaN elsewhere."""
    (q, outputs), by_name = found.theta.shape, groups(dataset.source)
    low, high = np.full((2, q, outputs), np.nan)
    if len(found.null):
        log.warning("inference.profile: none where the rows do not determine all coefficients.")
        return low, high
    for name in asked.profile:
        for i in by_name[name]:
            for j in range(outputs):
                low[i, j], high[i, j] = profile.ends(rows, found, columns, j * q + i, asked.level)
    return low, high


def _covariance(
    cov_type: str, rows: Rows, found: Maximum, columns: information.Columns, num_rows: float, *, power: int
) -> np.ndarray:
    """The covariance of theta, [J q, J q]: the inverse information, or the sandwich of products of scores."""
    if cov_type == "nonrobust":
        return found.inverse
    sums, rank = rows.sums(found.theta, columns, power), found.rank
    sandwich, num_groups = found.inverse @ sums.meat @ found.inverse, sums.num_groups
    if cov_type == "HC1":
        return sandwich * num_rows / (num_rows - rank)
    if cov_type.startswith("cluster"):
        if num_groups <= rank:
            log.warning(
                "inference: %d groups are few for %d coefficients: errors are rough, and no more than %d "
                "coefficients can be tested together.", num_groups, rank, num_groups - 1,
            )  # fmt: skip
        sandwich *= num_groups / max(num_groups - 1, 1)
    if cov_type == "cluster_small":
        sandwich *= (num_rows - 1) / (num_rows - rank)
    return sandwich


def _to_raw(columns: information.Columns, exponent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[q, q] and [q]: coefficients in raw units are the latter times the former times theta of one output."""
    found = np.eye(columns.size)
    if columns.bias:
        found[-1, :-1] = -columns.centre * columns.scale
    return found, np.append(np.ldexp(columns.scale, -exponent), [1.0] * columns.bias)


def _undetermined(found: Maximum, whole: np.ndarray, columns: information.Columns) -> np.ndarray:
    """[J q] bool: raw coefficients that take part in a direction along which the likelihood is flat."""
    if not len(found.null):
        return np.zeros(len(whole), bool)
    size = np.sqrt(np.diag(found.sums.information))
    flat = found.null / np.where(size > 0, size, 1)
    unknown = np.abs(found.null) > _TAKES_PART
    if columns.bias:
        # A raw bias moves with the coefficients of columns that are not centred on zero.
        biases = np.arange(columns.size - 1, len(whole), columns.size)
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        unknown[:, biases] = np.abs(flat @ whole[biases].T) > _TAKES_PART * length
    return unknown.any(axis=0)


def _polished(
    fit: Fit, theta: np.ndarray, columns: information.Columns, dataset: Dataset, inference: Inference
) -> Fit:
    """The fit with the coefficients theta."""
    kernel = theta[: len(columns.features)]
    bias = theta[-1] if columns.bias else np.zeros(theta.shape[1])
    if fit.model.kernel.shape[1] > 1:
        kernel, bias = (np.insert(a, columns.reference, 0.0, axis=-1) for a in (kernel, bias))
        kernel, bias = (a - a.mean(axis=-1, keepdims=True) for a in (kernel, bias))
    kernel, bias = moments.fold_out(kernel, bias, moments.Affine(columns.centre, columns.scale))
    kernel = np.ldexp(kernel, -np.asarray(dataset.exponent)[:, None])
    model = dataclasses.replace(fit.model, kernel=kernel, bias=bias, inference=inference)
    return dataclasses.replace(fit, model=model)
