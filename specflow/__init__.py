"""specflow: speculative tool execution for LangGraph agents, safe enough for production.

The package follows the life of a call:

    effects      what a tool may do: classes, annotations, fingerprints
    prediction   PREDICTED: what the model will call next, read from its stream
    policy       JUDGED: what may run early, from YAML, failing closed
    journal      INTENDED: the SQL record written before a side effect
    execution    EXECUTED: the one door through which every tool call goes
    speculation  RUNNING AHEAD: start with `speculation/coordinator.py`
    settlement   COMMITTED, COMPENSATED: how every effect comes to rest
    graph        LangGraph and LangChain; telemetry: OpenTelemetry; testing: the instruments of proof
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from specflow.effects.annotate import compensatable, confirmation_required, read_only
from specflow.errors import (
    ConfigurationError,
    ConflictError,
    JournalError,
    PolicyError,
    RefusedError,
    SpecflowError,
    TransactionError,
)

if TYPE_CHECKING:
    from specflow.graph.person.answering import aconfirm, confirm
    from specflow.graph.reasoning import ReasoningChatOpenAI
    from specflow.graph.transaction import Transaction
    from specflow.runtime import Runtime
    from specflow.workflow import Workflow

__version__ = "0.1.0.dev0"

__all__ = [
    "ConfigurationError",
    "ConflictError",
    "JournalError",
    "PolicyError",
    "ReasoningChatOpenAI",
    "RefusedError",
    "Runtime",
    "SpecflowError",
    "Transaction",
    "TransactionError",
    "Workflow",
    "aconfirm",
    "compensatable",
    "confirm",
    "confirmation_required",
    "read_only",
]

# Importing LangGraph takes a second: only those who use it pay.
_LAZY = {
    "Runtime": "specflow.runtime",
    "ReasoningChatOpenAI": "specflow.graph.reasoning",
    "Transaction": "specflow.graph.transaction",
    "Workflow": "specflow.workflow",
    "aconfirm": "specflow.graph.person.answering",
    "confirm": "specflow.graph.person.answering",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'specflow' has no attribute {name!r}")
