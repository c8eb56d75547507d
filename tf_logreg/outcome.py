"""What a fit found, with the fields of `result.json`: for a run's files, and for an estimator."""

import dataclasses
import sys

import numpy as np

import tf_logreg
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.fit.distances import Distances
from tf_logreg.fit.result import Fit
from tf_logreg.model.model import Model
from tf_logreg.names import describe
from tf_logreg.results import path as path_files
from tf_logreg.results import record as records

_MEASURES = ("log_loss", "roc_auc")  # of a bootstrap


def record_of(
    fit: Fit,
    dataset: Dataset,
    devices: Devices,
    metrics: dict,
    seconds: dict,
    measured: records.Measured | None = None,
    start: records.Start | None = None,
    distance: records.Distance | None = None,
) -> dict:
    """Contents of `result.json`.

    Args:
        fit: whose model is saved.
        dataset, devices: those of the fit.
        metrics: by role of the rows; {} where nothing was measured.
        seconds: by phase, 'fit' among them.
        measured: the fit that was measured, where it is another; from `measured_of`.
        start: what is known of the run that the fit started from; None without one.
        distance: from `distance_of`, of the fit that was measured; None where no optimum is sought.
    """
    trained, certificate = fit.trained, fit.trained.certificate
    reductions = trained.iterations if fit.solver == "minibatch" else trained.passes
    return records.to_json(
        records.Result(
            status=fit.status,
            message="; ".join(filter(None, (fit.message, absent_classes(dataset)))),
            **fit.penalty._asdict(),
            objective=trained.objective,
            # Both bounds hold for the weights in float64. The saved weights are rounded to weights_dtype,
            # which moves logits by 1e-4 at most.
            certified_gap=certificate.gap if certificate and fit.relative_gap is not None else None,
            relative_gap=fit.relative_gap,
            gradient_bound=certificate.gradient_bound if certificate else None,
            certificate=certificate.reason
            if certificate
            else "none: minibatch training makes no claim about the optimum",
            solver=fit.solver,
            iterations=trained.iterations,
            passes=trained.passes,
            num_rows=len(dataset.train),
            num_features=dataset.num_features,
            num_classes=dataset.num_classes,
            absent_classes=list(dataset.source.absent_classes),
            weights_dtype=fit.model.dtype,
            dependence=trained.dependence,
            start=start,
            prior=_prior(dataset),
            path=None if fit.path is None else path_files.summary(fit.path),
            threshold=fit.threshold,
            inference=_inference(fit),
            bootstrap=_bootstrap(fit),
            distance=distance,
            measured=measured,
            metrics=metrics,
            seconds=seconds,
            versions=_versions(),
            strategy="" if devices.strategy is None else type(devices.strategy).__name__,
            engine="devices" if fit.solver == "minibatch" else devices.engine,
            num_replicas=devices.replicas,
            num_workers=devices.workers.count,
            communication=_communication(
                fit, devices, reductions, seconds["fit" if measured is None else "refit"]
            ),
        )
    )


def _prior(dataset: Dataset) -> records.Prior | None:
    """What is said of a prior; None without one."""
    if (found := dataset.prior) is None:
        return None
    return records.Prior(workdir=found.workdir, matched=found.matched, left_out=found.left_out)


def _inference(fit: Fit) -> records.Inference | None:
    """What is said of standard errors; None where they were not asked for."""
    found = fit.model.inference
    if found is None and not fit.no_inference:
        return None
    if found is None:
        return records.Inference(
            missing=fit.no_inference, cov_type="", level=0.0, reference="", undetermined="",
            error=None, log_likelihood=None, null_log_likelihood=None, statistics={}, tests={},
        )  # fmt: skip
    return records.Inference(
        missing="",
        cov_type=found.cov_type,
        level=found.level,
        reference=found.reference,
        undetermined=found.undetermined,
        error=found.error,
        log_likelihood=found.log_likelihood,
        null_log_likelihood=found.null_log_likelihood,
        statistics=found.statistics(),
        tests={
            name: {column: found.test(name, column) for column in columns}
            for name, columns in found.tests.items()
        },
    )


def _bootstrap(fit: Fit) -> records.Bootstrap | None:
    """What is said of a bootstrap; None where there is none."""
    found = fit.model.bootstrap
    if found is None:
        return None
    done = found.error[found.done]
    return {
        "replicates": len(found.done),
        "done": int(found.done.sum()),
        "level": found.level,
        "error": float(done.max(initial=0.0)),
        **{name: None if (values := found.measure(name)) is None else list(values) for name in _MEASURES},
    }


def distance_of(distances: Distances | None, dataset: Dataset, devices: Devices) -> records.Distance | None:
    """What is said of how far a fit is from the optimum, and which test rows that could matter to.

    Args:
        distances: of the fit, from `learn.distances_of`.
        dataset, devices: as of the fit. The chief reads the test rows for all workers.
    """
    if distances is None:
        return None
    if missing := distances.missing:
        return {"missing": missing, "coefficient": None, "test_rows": None, "open_decisions": None}
    rows, found = dataset.rows.get("test"), None
    if rows is not None:
        found = devices.from_chief(lambda: distances.open_decisions(dataset, rows))
    return {
        "missing": "",
        "coefficient": distances.largest,
        "test_rows": None if rows is None else len(rows),
        "open_decisions": found,
    }


def measured_of(fit: Fit, dataset: Dataset) -> records.Measured:
    """The fields of `result.json` about a fit that was measured, where another one is saved."""
    certificate = fit.trained.certificate
    return {
        "status": fit.status,
        "num_rows": len(dataset.train),
        **fit.penalty._asdict(),
        "objective": fit.trained.objective,
        "certified_gap": certificate.gap if certificate and fit.relative_gap is not None else None,
        "relative_gap": fit.relative_gap,
        "iterations": fit.trained.iterations,
        "passes": fit.trained.passes,
    }


def with_rows(model: Model, dataset: Dataset) -> Model:
    """The model of a fit, in raw units, with the moments and the schema of its training rows."""
    model = dataclasses.replace(model, schema=dataset.source.schema)
    if model.schema is None and not model.takes_dense:  # a million numbers for each that counts
        return model
    moments, exponent = dataset.all_moments, dataset.exponent
    with np.errstate(over="ignore"):
        mean, deviation = (np.ldexp(values, exponent) for values in (moments.mean, moments.deviation))
    return dataclasses.replace(model, mean=mean, deviation=deviation)


def with_distances(fit: Fit, distances: Distances | None) -> Fit:
    """The fit whose model knows how far its coefficients are from the optimum's, where that is known."""
    if distances is None or distances.missing:
        return fit
    return dataclasses.replace(fit, model=dataclasses.replace(fit.model, error_bound=distances.coefficients))


def _communication(fit: Fit, devices: Devices, reductions: float, seconds: float) -> float | None:
    """Estimated share of the fit's time spent on all-reduce between workers; None with one worker."""
    if devices.workers.count == 1:
        return None
    size = fit.model.kernel.size + fit.model.bias.size
    return min(1.0, devices.workers.seconds_to_reduce(size) * reductions / seconds)


def absent_classes(dataset: Dataset) -> str:
    """Message that names the declared classes without rows; '' when all classes have rows."""
    absent = dataset.source.absent_classes
    if not absent:
        return ""
    declared = len(absent) + dataset.num_classes
    return f"{len(absent)} of {declared} declared classes have no rows and are left out: {describe(absent)}"


def _versions() -> dict[str, str]:
    """Versions of this package, and of TensorFlow and Keras where the process has imported them."""
    imported = {
        name: sys.modules[name].__version__ for name in ("tensorflow", "keras") if name in sys.modules
    }
    return {"tf_logreg": tf_logreg.__version__, **imported}
