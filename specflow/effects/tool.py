"""A tool as the core sees it: name, JSON Schema of what the model may choose, and how to run it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
    `key_parameter` is the tool's parameter that takes the key, if it has one. `transaction` is a SQLAlchemy
    connection to the journal's own database, for a tool that makes its effect there: what is done on it is
    committed with the call's outcome, or not at all; `transaction_parameter` is what takes it.
    """

    idempotency_key: str = ""
    key_parameter: str = ""
    fence: int = 0
    deadline: float | None = None
    early: bool = False
    compensating: bool = False
    transaction: Any = None
    transaction_parameter: str = ""

    @property
    def key(self) -> dict[str, Any]:
        """The key by the name of the parameter that takes it; a value chosen by the model is overwritten."""
        return {self.key_parameter: self.idempotency_key} if self.key_parameter else {}

    @property
    def connection(self) -> dict[str, Any]:
        """The same of the transaction. It is no argument that could be validated, or shown to anybody."""
        return {self.transaction_parameter: self.transaction} if self.transaction_parameter else {}


class Runner(Protocol):
    """Runs a tool's body, whatever framework it comes from."""

    async def __call__(self, call: Call, context: CallContext) -> Any:
        """The tool's own return value.

        Raises whatever the tool raises.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOrigin:
    """Which MCP server a tool comes from: its name in the program, and the URL or the command behind it.

    `at` is "" where that is not known; `tool` is the name that the server gives the tool.
    """

    server: str
    at: str
    tool: str

    def __str__(self) -> str:
        """The name under which a policy may speak of the tool."""
        return f"mcp:{self.server}/{self.tool}"


def as_object(schema: Any) -> Mapping[str, Any]:
    """A JSON Schema as an object: `true` is {}, and what is none allows nothing."""
    return schema if isinstance(schema, Mapping) else {} if schema is True else {"not": {}}


def as_text(value: Any) -> str:
    """A result as the model sees it where no framework says otherwise: text as it is, else JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=False, kw_only=True)
class ToolSpec:
    """A tool without its framework.

    `parameters` is the JSON Schema (an object schema) of the arguments the model chooses: injected
    parameters and the idempotency key are not in it. `injected` names parameters that a framework
    fills with state of the real run: such a tool never runs early. `hidden` names parameters that
    specflow fills; a value that the model chose for one of them does not count. `hints` are what an
    MCP server says of the tool (`readOnlyHint`, `destructiveHint`, `idempotentHint`): claims, not facts.
    `origin` is where it comes from, if it is such a tool.
    `render` makes of a result the text that the model sees; it raises where that cannot be told.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    result: Mapping[str, Any] | None = None
    annotation: Annotation | None = None
    injected: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    hints: Mapping[str, Any] = field(default_factory=dict)
    origin: ToolOrigin | None = None
    runner: Runner | None = None
    render: Callable[[Any], str] = field(default=as_text, compare=False, repr=False)

    @cached_property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each parameter by name. What allows everything, or nothing (`true`, `false`), is an
        object here, too.
        """
        found = self.parameters.get("properties")
        if not isinstance(found, Mapping):
            return {}
        return {name: as_object(schema) for name, schema in found.items()}

    @property
    def required(self) -> frozenset[str]:
        """Names the model must supply."""
        return frozenset(self.parameters.get("required") or ())

    @cached_property
    def schema_hash(self) -> str:
        """64 hex digits over name and parameters; what a review or an approval is bound to.

        Of a tool with hints also over these and the schema of its result: a server may change all of them.
        """
        told = [canonical_json(self.hints), canonical_json(self.result)] if self.hints else []
        return digest(self.name, canonical_json(self.parameters), *told)

    @property
    def listed_as(self) -> str:
        """The name by which a policy had best speak of it."""
        return str(self.origin) if self.origin is not None else self.name

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which a policy may speak of it."""
        return (self.name,) if self.origin is None else (self.name, str(self.origin))

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
