"""`python run.py --config=... --workdir=...`; the flags and the rest live in tf_logreg/cli.py."""

import sys

try:
    from tf_logreg.__main__ import main
except ImportError as error:  # no TensorFlow, or Keras on another backend
    print(error, file=sys.stderr)
    sys.exit(2)

main()
