"""Chat models that guess."""
