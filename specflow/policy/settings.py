"""What the policy says about running one tool, compiled and defaulted: what the core reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.policy.verdict import Verdict


class Expression(Protocol):
    """A compiled condition or mapping value; pure, total over its input or raising ConditionError."""

    @property
    def source(self) -> str:
        """The text it was compiled from; compiling it again gives the same thing."""
        ...

    @property
    def roots(self) -> frozenset[str]:
        """The top-level names it reads: `args`, `result`, `before`, `key`, `context`."""
        ...

    @property
    def paths(self) -> frozenset[tuple[str, ...]]:
        """What it reads below them, such as `("args", "card", "number")`, as far as that is plain."""
        ...

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """The value, as plain JSON data."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """When two calls of a tool count as the same. `exact`: equal fingerprints.

    `normalised`: each field of `fields` is first put into a normal form (`upper`, `lower`, `strip`,
    `iso_date`, `number`), and the fields in `ignore` do not count. Never anything but exact for writes.
    """

    mode: str = "exact"
    fields: Mapping[str, str] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What to read just before a write, so that its undo can write it back: a read-only tool over args."""

    tool: str
    arguments: Mapping[str, Expression]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """How to take an effect back: call `tool` with `arguments` evaluated over args, result and key.

    With a `before` they may read that, too: what its tool answered before the write.
    `tolerates_missing`: the compensator may be called although nothing happened; it then also keeps
    the effect from happening late. `within`: seconds in which it can be undone, or None.
    """

    tool: str
    arguments: Mapping[str, Expression]
    before: Before | None = None
    succeeded_when: Expression | None = None
    tolerates_missing: bool = False
    within: float | None = None

    @property
    def needs_result(self) -> bool:
        """Whether it can only be called when the outcome is known."""
        return any("result" in expression.roots for expression in self.arguments.values())

    @property
    def before_paths(self) -> frozenset[tuple[str, ...]]:
        """What it reads of the value from before, as paths that begin with `before`."""
        done = [self.succeeded_when] if self.succeeded_when is not None else []
        read = (path for expression in (*self.arguments.values(), *done) for path in expression.paths)
        return frozenset(path for path in read if path[0] == "before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """How to ask whether an effect happened: a read-only tool over args and key.

    It answers null for "no", anything else is the result the call would have returned.
    """

    tool: str
    arguments: Mapping[str, Expression]


EARLY_TIMEOUT = 60.0
"""Seconds after which an early call of a tool without a timeout is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSettings:
    """Everything about running one tool that is not a verdict. Times in seconds, money in USD.

    `reads` and `writes` are resource key templates such as `seat:{args.flight_id}`; None means
    undeclared, which overlaps everything. `retries` counts further attempts after the first and is
    used for reads and keyed calls only. `timeout` None: a real call waits as long as it would without
    specflow; an early one is given up after `EARLY_TIMEOUT`.
    """

    timeout: float | None = None
    retries: int = 0
    backoff: float = 0.2
    match: Match = field(default_factory=Match)
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    ttl: float | None = None
    cost_usd: float = 0.0
    max_concurrent: int | None = None
    idempotency_key: str = ""
    undo: Undo | None = None
    verify: Verify | None = None
    redact: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Limits over all tools. Money in USD."""

    max_concurrent: int = 4
    max_wasted_usd: float = 0.05


class Judge(Protocol):
    """What the core asks of a policy."""

    @property
    def hash(self) -> str:
        """64 hex digits over what the policy means."""
        ...

    @property
    def budgets(self) -> Budgets: ...

    def judge(
        self, tool: ToolSpec | None, call: Call, *, context: Mapping[str, Any], tainted: bool = False
    ) -> Verdict:
        """The verdict on one call. Total: never raises. `tool` is None for an unregistered name."""
        ...

    def settings(self, tool: ToolSpec) -> ToolSettings:
        """How to run the tool; defaults where the policy says nothing."""
        ...
