"""A model as files for others."""
