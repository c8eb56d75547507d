"""The files of a run, all but `result.json`."""

import logging

import numpy as np

from tf_logreg import storage
from tf_logreg.export import saved_model
from tf_logreg.fit.result import Fit
from tf_logreg.model import bootstrap, coefficients, inference
from tf_logreg.results import coefficients_csv, events
from tf_logreg.results import path as path_files
from tf_logreg.tables import schema_file

log = logging.getLogger(__name__)


def write(run: storage.Folder, fit: Fit, metrics: dict, arrays: dict) -> None:
    """Writes everything but `result.json`, which is written last and marks the run as finished."""
    model = fit.model
    with events.recorder(run) as note:
        for role, values in metrics.items():
            for name in ("log_loss", "accuracy"):
                if values[name] is not None:
                    note(f"{role}/{name}", values[name], fit.trained.iterations)
    if model.takes_dense:
        run.write_with("model.keras", model.to_keras().save)
    else:
        log.info("model.keras takes dense rows: it is left out with %d features.", len(model.kernel))
    coefficients.write(run, model)
    coefficients_csv.write(run, model)
    if model.inference is not None:
        run.write_arrays(inference.NAME, inference.to_arrays(model.inference))
    if model.bootstrap is not None:
        run.write_arrays(bootstrap.NAME, bootstrap.to_arrays(model.bootstrap))
    if model.schema is not None:
        run.write_json(schema_file.NAME, schema_file.to_json(model.schema))
    history = np.array(fit.trained.history, float).reshape(-1, 2)
    run.write_arrays("metrics.npz", arrays | {"history": history})
    if fit.path is not None:
        path_files.write(run, fit.path, model)
    run.publish("export", model.export, saved_model.MARKER)
