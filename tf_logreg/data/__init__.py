"""What comes in: sources, splits, moments, batches."""
