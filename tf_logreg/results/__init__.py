"""What goes out: metrics, the work directory, the exported model."""
