"""A table of numbers and words, in CSV or Parquet files.

    python run.py --data=adult_train.csv --label=income --workdir=runs/adult

is short for

    python run.py --config=configs/table.py --config.data.args.path=adult_train.csv --config.data.label=income

What each column is, is inferred; docs/tables.md tells how to look at it and to change it.

Time and score are your data's.
"""

from tf_logreg import config as defaults


def get_config():
    """A table, its l2 chosen by cross-validation, measured on rows that were set aside."""
    config = defaults.get_config()
    config.data.source = "table"
    config.data.args.path = ""
    config.data.args.validation_path = ""
    config.data.args.test_path = ""
    # Measured, and in no model: `--config.data.test_fraction=0.0` learns from all rows.
    config.data.test_fraction = 0.2
    # The strength of the penalty with the lowest loss on rows that were held out, of five folds.
    config.path.penalty = "l2"
    config.cv.folds = 5
    return config
