"""The fitted model: weights, names, output head, Keras model. Independent of data sets."""
