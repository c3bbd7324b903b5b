"""What a predictor's word is worth: probabilities from how its earlier guesses turned out."""
