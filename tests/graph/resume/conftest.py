"""A PostgreSQL server for those who want one."""

from specflow.testing.postgres import postgres

__all__ = ["postgres"]
