"""`python run.py --config=... --workdir=...`; the flags and the rest live in tf_logreg/cli.py."""

from tf_logreg.__main__ import main

main()
