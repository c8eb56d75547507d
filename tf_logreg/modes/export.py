"""`--mode=export`: a finished run's model in a format of others, or as a version for TensorFlow Serving."""

from tf_logreg.devices.strategies import check_surroundings
from tf_logreg.errors import InputError
from tf_logreg.export import formats, saved_model
from tf_logreg.results import workdir as directory


def export_run(
    workdir: str, version: int | None = None, *, file_format: str = "saved_model", overwrite: bool = False
) -> str:
    """Writes a finished run's model from `coefficients.npz`.

    Args:
        workdir: of a finished run.
        version: None for `export/` itself; a number for `export/<number>/` beside its files. TensorFlow
            Serving's model_base_path may be `export/`: it takes folders that are numbers, and passes over
            all else.
        file_format: one of `formats.FILES`, which has its name in the work directory; no version with others
            than the SavedModel.
        overwrite: replace a version that is there.

    Returns:
        The folder or file.

    Raises:
        InputError: no finished run, a version that is there, or a format that this model cannot have.
    """
    check_surroundings()
    folder = directory.of(workdir)
    result, model = directory.read_model(folder)
    name = formats.FILES[file_format]
    data = formats.content(model, file_format) if file_format != "saved_model" else b""

    with directory.finished_run(folder, result) as mine:
        if data:
            mine.write(name, data)
            return mine.where(name)
        if version is None:
            # What is served may be read at any moment, so versions stay where they are.
            mine.publish(name, model.export, saved_model.MARKER, within=True)
            return mine.where(name)
        versions = mine.below(name)
        if versions.holds(str(version)) and not overwrite:
            raise InputError(
                f"--version: expected a number that is not there. Received: {version}, but "
                f"{versions.where(str(version))!r} exists; --overwrite replaces it."
            )
        versions.publish(str(version), model.export, saved_model.MARKER)
        return versions.where(str(version))
