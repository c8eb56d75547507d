"""Fits to a certified optimum."""
