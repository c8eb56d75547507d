"""Sparse rows in LIBSVM's form, `label id:value id:value ...`, as text or gzipped.

    python run.py --config=configs/libsvm.py --config.data.args.path=a9a.gz --workdir=runs/a9a

Several files are `'a.txt,b.txt'` or `'part-*.gz'`. docs/sparse.md has files to choose and to measure by.

Time and score are your data's.
"""

from tf_logreg import config as defaults


def get_config():
    """Sparse rows in files, to a certified optimum."""
    config = defaults.get_config()
    config.data.source = "libsvm"
    config.data.args.path = ""
    config.data.args.validation_path = ""
    config.data.args.test_path = ""
    # Whether ids count from 0: 'auto' (if one of them is 0), 'True' or 'False'.
    config.data.args.zero_based = "auto"
    # Measured, and in no model: `--config.data.test_fraction=0.0` learns from all rows.
    config.data.test_fraction = 0.2
    config.l2 = 1e-4
    return config
