"""Where a run computes: strategies, workers, placement, memory."""
