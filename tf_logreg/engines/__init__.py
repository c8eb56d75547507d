"""Who makes the passes over the rows."""
