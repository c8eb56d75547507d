"""Input: sources, splits, moments, batches."""
