"""What `specflow bench` measures: one small module for each bench, listed in `catalogue`."""
