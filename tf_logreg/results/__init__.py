"""Output: metrics, the work directory, figures."""
