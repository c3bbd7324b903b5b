"""PREDICTED: guesses of what the model will call next, made from what it streams."""
