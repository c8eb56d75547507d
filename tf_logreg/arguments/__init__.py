"""What an estimator is given: its parameters and its arrays, checked and in our own terms."""
