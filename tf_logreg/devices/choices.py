"""Values of the flags about devices. It imports no TensorFlow, so a wrong value is reported at once."""

KINDS = ("auto", "off", "one_device", "mirrored", "multi_worker_mirrored", "tpu")  # of strategies
DTYPES = ("float32", "float64", "bfloat16")  # of X while training
ENGINES = ("auto", "host", "devices")
