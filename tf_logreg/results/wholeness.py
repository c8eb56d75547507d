"""Whether the files of a finished run are there and belong together."""

from tf_logreg import storage
from tf_logreg.errors import InputError
from tf_logreg.model import coefficients
from tf_logreg.model.model import Model


def check_artefacts(folder: storage.Folder, result: dict) -> None:
    """Checks that all files which 'Everything is in ...' names exist, without reading large ones.

    Raises:
        InputError: a file is missing; the message names it and the command that writes it again.
    """
    from tf_logreg.export import saved_model  # imports TensorFlow, which defines the SavedModel's files

    try:
        model = coefficients.read(folder)
        check_agreement(folder, result, model)
        archives = ["metrics.npz", *["model.keras"] * model.takes_dense, *["path.npz"] * bool(result["path"])]
        for name in archives:
            folder.check_archive(name)
        for name in ("path.csv", "path.png") if result["path"] else ():
            folder.check_file(name)
        name = f"export/{saved_model.MARKER}"
        if not saved_model.is_whole(folder.read(name)):
            raise InputError(
                f"{folder.field}: cannot use {folder.where(name)!r}: it is cut or something else."
            )
        variables = folder.below("export/variables")
        data = [name for name in variables.names() if name.startswith("variables.data-")]
        for name in ("variables.index", *(data or ["variables.data-00000-of-00001"])):
            variables.check_file(name)
    except InputError as error:
        remedy = "--mode=export writes export/ again, --overwrite all"
        raise InputError(f"{error} {remedy}.") from None


def check_agreement(folder: storage.Folder, result: dict, found: Model) -> None:
    """Raises InputError if features or classes of the result and the coefficients differ."""
    expected = len(found.feature_names), len(found.class_names)
    if (result["num_features"], result["num_classes"]) != expected:
        raise InputError(
            f"{folder.field}: cannot use {folder.where('result.json')!r}: it has {result['num_features']} "
            f"features and {result['num_classes']} classes, coefficients.npz {expected[0]} and {expected[1]}."
        )
