"""Fits to rows that are drawn again, as one batch."""
