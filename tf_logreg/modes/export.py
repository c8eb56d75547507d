"""`--mode=export`: a finished run's SavedModel written again, or as a version for TensorFlow Serving."""

from tf_logreg.devices.strategies import check_surroundings
from tf_logreg.errors import InputError
from tf_logreg.export import saved_model
from tf_logreg.results import workdir as directory


def export_run(workdir: str, version: int | None = None, *, overwrite: bool = False) -> str:
    """Writes a finished run's SavedModel again, from `coefficients.npz`.

    Args:
        workdir: of a finished run.
        version: None for `export/` itself; a number for `export/<number>/` beside its files. TensorFlow
            Serving's model_base_path may be `export/`: it takes folders that are numbers, and passes over
            all else.
        overwrite: replace a version that is there.

    Returns:
        The folder.

    Raises:
        InputError: no finished run, or a version that is there.
    """
    check_surroundings()
    folder = directory.of(workdir)
    result, model = directory.read_model(folder)

    with directory.finished_run(folder, result) as mine:
        if version is None:
            # What is served may be read at any moment, so versions stay where they are.
            mine.publish("export", model.export, saved_model.MARKER, within=True)
            return mine.where("export")
        versions = mine.below("export")
        if versions.holds(str(version)) and not overwrite:
            raise InputError(
                f"--version: expected a number that is not there. Received: {version}, but "
                f"{versions.where(str(version))!r} exists; --overwrite replaces it."
            )
        versions.publish(str(version), model.export, saved_model.MARKER)
        return versions.where(str(version))
