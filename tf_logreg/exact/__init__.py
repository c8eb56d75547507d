"""Float64 on the host: what checks a solver."""
