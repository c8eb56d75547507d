"""What the rows of a run are made from: digests of the source's files, and of an encoder's."""

from typing import Any

from ml_collections import ConfigDict

from tf_logreg.data import digest, encoders
from tf_logreg.data.load import files, version


def digests(config: ConfigDict, known: dict, model: Any = None) -> dict:
    """Identity of the data: the source's version and digests of its files, and of an encoder's.

    Args:
        config: its data section is read.
        known: an earlier result, which may save reading files again; {} for none.
        model: the Keras model that is the encoder, where one was given in Python.
    """
    return with_encoder(of_rows(config, known), config, model, known)


def of_rows(config: ConfigDict, known: dict | None = None) -> dict:
    """`digests` of the source alone."""
    data, known = config.data, (known or {}).get("files", {})
    return {"version": version(data.source), "files": digest.digests(files(data.source, **data.args), known)}


def with_encoder(rows: dict, config: ConfigDict, model: Any, known: dict | None = None) -> dict:
    """`digests` of rows that have their own, and of the encoder that the config or Python gives.

    Args:
        rows: digests of the rows.
        config, model, known: as of `digests`.
    """
    names = config.data.encoder, config.data.encoder_weights
    found = digest.digests(encoders.files(*names), (known or {}).get("files", {}))
    if model is not None:
        found["encoder"] = encoders.digest_of(model)
    return {**rows, "files": {**rows["files"], **found}}
