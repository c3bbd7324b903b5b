"""What speculation would have saved on recorded runs: the real core, on virtual time, beside its bound."""
