"""A tool as the core sees it: name, JSON Schema of what the model may choose, and how to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import jsonschema
from referencing import Registry

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call, canonical_json, digest

_NOTHING_TO_FETCH: Registry[Any] = Registry()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What a tool may ask about the call it is in.

    `deadline` is seconds on the runtime's monotonic clock; `fence` grows with every owner of the
    session, so that a service that checks it can refuse a zombie; `idempotency_key` is empty for reads.
    `key_parameter` is the tool's parameter that takes the key, if it has one.
    """

    idempotency_key: str = ""
    key_parameter: str = ""
    fence: int = 0
    deadline: float | None = None
    early: bool = False
    compensating: bool = False


class Runner(Protocol):
    """Runs a tool's body, whatever framework it comes from."""

    async def __call__(self, call: Call, context: CallContext) -> Any:
        """The tool's own return value.

        Raises whatever the tool raises.
        """
        ...


@dataclass(frozen=True, slots=False, kw_only=True)
class ToolSpec:
    """A tool without its framework.

    `parameters` is the JSON Schema (an object schema) of the arguments the model chooses: injected
    parameters and the idempotency key are not in it. `injected` names parameters that a framework
    fills with state of the real run: such a tool never runs early. `hidden` names parameters that
    specflow fills; a value that the model chose for one of them does not count. `hints` are what an
    MCP server says of the tool (`readOnlyHint`, `destructiveHint`, `idempotentHint`): claims, not facts.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    result: Mapping[str, Any] | None = None
    annotation: Annotation | None = None
    injected: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    hints: Mapping[str, Any] = field(default_factory=dict)
    runner: Runner | None = None

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each parameter by name."""
        found = self.parameters.get("properties")
        return found if isinstance(found, Mapping) else {}

    @property
    def required(self) -> frozenset[str]:
        """Names the model must supply."""
        return frozenset(self.parameters.get("required") or ())

    @cached_property
    def schema_hash(self) -> str:
        """64 hex digits over name and parameters; what a review or an approval is bound to."""
        return digest(self.name, canonical_json(self.parameters))

    @cached_property
    def _validator(self) -> jsonschema.Draft202012Validator:
        # An empty registry: a schema of somebody else's must not make us fetch what it refers to.
        return jsonschema.Draft202012Validator(self.parameters, registry=_NOTHING_TO_FETCH)

    def problems(self, args: Mapping[str, Any]) -> tuple[str, ...]:
        """Why `args` do not fit the schema, one line each; empty when they fit."""
        try:
            return tuple(
                f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}"
                for error in self._validator.iter_errors(dict(args))
            )
        except Exception as error:  # noqa: BLE001 - a schema that cannot be evaluated fits nothing
            return (f"arguments: the schema of {self.name} cannot be evaluated: {type(error).__name__}",)

    def call(self, args: Mapping[str, Any]) -> Call:
        """The call with these arguments, without parameters that are not the model's to choose."""
        unchosen = self.injected | self.hidden
        return Call(
            tool=self.name, args={name: value for name, value in args.items() if name not in unchosen}
        )
