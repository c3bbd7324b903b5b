"""What the policy says about running one tool, compiled and defaulted: what the core reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
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
    """What to read first: a read-only tool over args. Before a write, for its undo to write it back; before a
    person is asked, to be shown.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """How to amend an early effect whose real call differs in some of `fields` only: call `tool`.

    Its `arguments` are over args (those of the real call), result and key (those of the effect). `returns`
    says what the real call then returns, over args, result and patched (what `tool` answered); None: that
    answer itself. `effect` is what the policy declares `tool` to be.
    """

    tool: str
    fields: frozenset[str]
    arguments: Mapping[str, Expression]
    returns: Expression | None = None
    effect: EffectClass = EffectClass.CONFIRMATION_REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """How to ask whether what a read reads has changed: a read-only tool over args.

    Equal answers mean the same version (an etag, a row version, a time of change).
    """

    tool: str
    arguments: Mapping[str, Expression]


EARLY_TIMEOUT = 60.0
"""Seconds after which an early call of a tool without a timeout is given up."""


CONFIRM_WITHIN = 86_400.0
"""Seconds that a person's yes may take where the policy says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSettings:
    """Everything about running one tool that is not a verdict. Times in seconds, money in USD.

    `reads` and `writes` are resource key templates such as `seat:{args.flight_id}`; None means
    undeclared, which overlaps everything. `retries` counts further attempts after the first and is
    used for reads and keyed calls only. `cost_usd` is the price of a call, `undo_usd` that of undoing
    one, `visible_usd` that of a second in which others can see a wrong effect; `max_concurrent`,
    `max_branches` and `max_per_minute` are as in `Budgets`, for this tool. An early result is good for
    `ttl` seconds; with one it may answer several calls of its `scope` (session, thread, tenant or public).
    `verify_sample` is the share of adopted reads that are run again. `transaction` is the parameter that
    takes a transaction of the journal's database, for a tool whose effect is there. `timeout` None: a real
    call waits as long as it would without specflow; an early one is given up after `EARLY_TIMEOUT`.
    `confirm_within`: from the question to the call that a person has approved; `show` are the reads whose
    results they are shown with it.
    """

    timeout: float | None = None
    retries: int = 0
    backoff: float = 0.2
    match: Match = field(default_factory=Match)
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    ttl: float | None = None
    scope: str = "session"
    version: Version | None = None
    verify_sample: float = 0.0
    cost_usd: float = 0.0
    undo_usd: float = 0.0
    visible_usd: float = 0.0
    max_concurrent: int | None = None
    max_branches: int | None = None
    max_per_minute: int | None = None
    idempotency_key: str = ""
    transaction: str = ""
    undo: Undo | None = None
    verify: Verify | None = None
    patch: Patch | None = None
    redact: tuple[str, ...] = ()
    confirm_within: float = CONFIRM_WITHIN
    show: tuple[Before, ...] = ()

    @property
    def outlives_run(self) -> bool:
        """Whether an early result may be good for more than the run that it was begun in."""
        return self.ttl is not None and self.scope != "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Limits over all tools, for each session. Money in USD.

    `usd_per_second` is what a second less to wait is worth: 0.01 is 36 USD an hour. `max_concurrent` counts
    what runs, `max_branches` what waits for its adoption, running or finished, and `max_result_bytes` the
    size of the results among that. `max_depth` counts guesses on top of each other, the first included.
    `max_wasted_share` is of the last early calls: above it, only the surest are started.
    """

    max_concurrent: int = 4
    max_wasted_usd: float = 0.05
    usd_per_second: float = 0.01
    max_branches: int = 64
    max_depth: int = 5
    max_result_bytes: int = 64 << 20
    max_per_minute: int = 600
    max_wasted_share: float = 0.9


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
