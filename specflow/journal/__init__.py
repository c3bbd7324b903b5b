"""INTENDED: the SQL record that is written before a side effect runs."""
