"""`--mode=describe`: what each column of a table is and would become, before anything is fitted."""

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg.data import load, tabular
from tf_logreg.errors import InputError
from tf_logreg.results import workdir as directory
from tf_logreg.tables import description, schema_file


def describe(config: ConfigDict, workdir: str = "") -> str:
    """The text to print.

    Args:
        config: names a table; with a label its classes are counted, and columns that tell it are noted.
        workdir: where schema.json is written, to edit it and to give it back as data.schema; '' for nowhere.

    Raises:
        InputError: no table, or one that cannot be used.
    """
    configs.validate(config)
    data = config.data
    if data.source not in load.TABLES:
        raise InputError(f"--mode=describe: expected a table, as --data gives. Received: {data.source!r}.")
    table = load.load(data.source, **data.args)
    schema, rows, y, class_names = tabular.described(table, config)
    count = np.bincount(y[rows], minlength=len(class_names)) if class_names else []
    shares = {name: n / len(rows) for name, n in zip(class_names, count, strict=True)}
    text = description.describe(schema, shares, len(rows))
    if workdir:
        folder = directory.of(workdir)
        directory.write_note(folder, schema_file.NAME, schema_file.text(schema))
        where = folder.where(schema_file.NAME)
        text += f"\n\nIt is in {where} too: edit it, and give it as --config.data.schema."
    return text
