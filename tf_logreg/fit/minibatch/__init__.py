"""Fits by steps over batches."""
