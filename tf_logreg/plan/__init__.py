"""What a job will need and take on a TPU, from the TPU compiler, with no TPU at hand."""
