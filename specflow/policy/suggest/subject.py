"""All that can be known of a tool without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.annotate import Annotation
from specflow.effects.tool import as_object
from specflow.policy.suggest.functions import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What an MCP server claims about its tool; None: it says nothing."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The HTTP request behind a tool: method in capitals and the path's template."""

    method: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`parameters` is the JSON Schema of an object, `result` of anything; both are as untrusted as the rest.

    `trusted` is whether the party that wrote this is believed when it says something harmless: true of
    the user's own code and files, of an MCP server only when the user names it. `schema_hash` is empty
    where the tool's identity at run time is not known. `opaque_result`: what a caller gets is not shaped as
    `result` and the description say, so no undo may be built on it. `results_seen`: `result` was made from
    so many recorded results; 0: the tool itself declares it.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    annotation: Annotation | None = None
    hints: Hints | None = None
    operation: Operation | None = None
    code: Code | None = None
    trusted: bool = True
    origin: str = ""
    schema_hash: str = ""
    opaque_result: bool = False
    results_seen: int = 0

    @property
    def properties(self) -> dict[str, Mapping[str, Any]]:
        """The schema of each parameter by name; anything malformed counts as empty."""
        return properties_of(self.parameters)

    @property
    def required(self) -> frozenset[str]:
        """Names of the parameters a call must have."""
        return required_of(self.parameters)


def properties_of(schema: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """The properties of an object schema, in its order."""
    found = (schema or {}).get("properties")
    if not isinstance(found, Mapping):
        return {}
    return {str(name): as_object(part) for name, part in found.items()}


def required_of(schema: Mapping[str, Any] | None) -> frozenset[str]:
    """The names an object schema requires."""
    found = (schema or {}).get("required")
    return (
        frozenset(name for name in found if isinstance(name, str)) if isinstance(found, list) else frozenset()
    )
