"""What the flags about devices choose from. It imports no TensorFlow: a wrong one is answered at once."""

KINDS = ("off", "one_device", "mirrored", "multi_worker_mirrored", "tpu")  # of strategies
DTYPES = ("float32", "float64", "bfloat16")  # of X while training
