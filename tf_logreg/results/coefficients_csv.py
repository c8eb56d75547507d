"""`coefficients.csv`: every coefficient of a run's model for people and spreadsheets, a line each."""

import csv
import io
import logging

from tf_logreg import storage
from tf_logreg.model.model import Model

log = logging.getLogger(__name__)

NAME = "coefficients.csv"
_MOST = 1_000_000  # lines


def write(folder: storage.Folder, model: Model) -> None:
    """Writes `coefficients.csv`; of more than a million coefficients nothing, and the log says so."""
    if (count := model.kernel.size) > _MOST:
        log.info("%s is left out with %d coefficients; coefficients.npz has them.", NAME, count)
        return
    columns = model.coefficients()
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*columns.values(), strict=True))
    folder.write_text(NAME, text.getvalue())
