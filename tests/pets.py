"""The bundled table of cats and dogs, as files, and what the runs of its tests ask for."""

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tf_logreg.data import cats_and_dogs

PETS = pa.table(cats_and_dogs.table())
WITH_TEXT = ("--config.data.columns.note=text:64", "--config.data.columns.visited=date")


def write(folder):
    """The same rows as pets.csv and pets.parquet, and new.csv without their label."""
    pyarrow.csv.write_csv(PETS, folder / "pets.csv")
    pyarrow.parquet.write_table(PETS, folder / "pets.parquet")
    pyarrow.csv.write_csv(PETS.drop_columns("animal"), folder / "new.csv")
    return folder
