"""The mathematics: the Keras model, the log loss, products with X. Knows nothing of data sets."""
