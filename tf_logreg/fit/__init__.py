"""Data + model + solver -> weights."""
