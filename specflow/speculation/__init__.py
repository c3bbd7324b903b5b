"""RUNNING AHEAD: read `coordinator` first; it tells the life of a call from top to bottom."""
