"""How a tool says that a parameter takes the transaction of its call; without specflow it is None."""

from __future__ import annotations

from typing import Annotated

from langchain_core.tools import InjectedToolArg

from specflow.journal.call_connection import CallConnection

Transaction = Annotated[CallConnection | None, InjectedToolArg]
"""A `sqlalchemy.Connection` to the journal's database, bound to the transaction of the call."""
