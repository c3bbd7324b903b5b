"""JUDGED: what may run early, what must wait, what must be asked."""
