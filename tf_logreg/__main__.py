"""`python -m tf_logreg`, the console script and `run.py`: signals are heard before the imports begin."""

from tf_logreg import signals


def main() -> None:
    """Runs the command line and exits with its code."""
    signals.hear()
    from tf_logreg import cli  # so that a signal is heard while absl and NumPy are imported

    cli.main()


if __name__ == "__main__":
    main()
