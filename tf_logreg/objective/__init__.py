"""The log loss as TensorFlow programs."""
