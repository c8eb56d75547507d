"""Engines, which make the passes over the rows."""
