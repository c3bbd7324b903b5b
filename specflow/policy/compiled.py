"""A policy as the judge reads it: entries, rules and defaults, compiled, frozen, without a file format."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy.condition import Cel, Needs
from specflow.policy.settings import Budgets, Match, ToolSettings
from specflow.policy.verdict import Asking, Speculate

MAX_NAME = 256
"""Characters; a longer tool name is in no policy."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Trusted:
    """One tool of one MCP server whose hints are believed as long as it is the tool that was reviewed.

    `at` is the server's URL or command, `schema` the schema hash. A server of which only the name is given
    has none of these, and is not believed: a name says nothing about who answers to it.
    """

    server: str
    at: str = ""
    tool: str = ""
    schema: str = ""

    def __str__(self) -> str:
        return f"mcp:{self.server}/{self.tool} at {self.at}" if self.tool else self.server


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Loosens `speculate` of its own entry when the condition is true."""

    id: str
    where: str
    when: Cel
    unless: Cel | None = None
    speculate: Speculate
    min_confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Require:
    """Tightens when the condition is true or cannot be evaluated."""

    id: str
    where: str
    when: Cel
    unless: Cel | None = None
    effect: EffectClass | None = None
    speculate: Speculate | None = None
    min_confidence: float | None = None
    ask: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """Hosts, addresses and paths that an early call may contact, as patterns with `*`."""

    host: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensate:
    """How an effect is taken back. `arguments` None: to be derived from the tools' schemas."""

    tool: str
    arguments: Mapping[str, Cel] | None = None
    before: Ask | None = None
    succeeded_when: Cel | None = None
    tolerates_missing: bool = False
    within: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which read-only tool says whether an effect happened, or what was there before it.

    `arguments` None: to be derived.
    """

    tool: str
    arguments: Mapping[str, Cel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Which tool amends an effect when only `fields` changed, and what the amended call returns."""

    tool: str
    fields: tuple[str, ...]
    arguments: Mapping[str, Cel]
    returns: Cel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one file says about one tool name, or about a pattern of names. None: says nothing."""

    pattern: str
    where: str
    effect: EffectClass | None = None
    speculate: Speculate | None = None
    min_confidence: float | None = None
    confirm: Asking | None = None
    confirm_within: float | None = None
    show: tuple[Ask, ...] | None = None
    proposed: bool = False
    reviewed: str = ""
    predictors: frozenset[str] | None = None
    allows: tuple[Allow, ...] = ()
    requires: tuple[Require, ...] = ()
    destinations: Destinations | None = None
    compensator_for: frozenset[str] = frozenset()
    redact: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int | None = None
    backoff: float | None = None
    match: Match | None = None
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    ttl: float | None = None
    cache_scope: str | None = None
    version: Ask | None = None
    verify_sample: float | None = None
    max_concurrent: int | None = None
    max_branches: int | None = None
    max_per_minute: int | None = None
    cost_usd: float | None = None
    undo_usd: float | None = None
    visible_usd: float | None = None
    idempotency_key: str | None = None
    transaction: str | None = None
    compensate: Compensate | None = None
    verify: Ask | None = None
    patch: Patch | None = None

    @property
    def exact(self) -> bool:
        """Whether it names one tool."""
        return "*" not in self.pattern

    @property
    def has_opinion(self) -> bool:
        """Whether it says anything of when; an entry that only sets, say, a timeout does not."""
        return self.has_written or bool(self.allows)

    @property
    def has_written(self) -> bool:
        """Whether it says that itself, and not by rules alone."""
        return self.effect is not None or self.speculate is not None or self.min_confidence is not None

    @property
    def specificity(self) -> tuple[bool, int]:
        """Larger is more specific: exact names first, then what spells out more characters."""
        return self.exact, len(self.pattern) - self.pattern.count("*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where no entry says otherwise."""

    unlisted: EffectClass = EffectClass.CONFIRMATION_REQUIRED
    confirm_unlisted: Asking = Asking.HOST
    trust_annotations: bool = True
    min_confidence: float = 0.6
    timeout: float | None = None
    confirm_within: float | None = None
    redact: tuple[str, ...] = ()
    verify_sample: float = 0.0
    budgets: Budgets = field(default_factory=Budgets)
    trusted_mcp_servers: frozenset[Trusted] = frozenset()

    def trusts(self, tool: ToolSpec) -> bool:
        """Whether what the tool's server says in its favour is believed."""
        origin = tool.origin
        if origin is None or not origin.at:
            return False
        believed = Trusted(server=origin.server, at=origin.at, tool=origin.tool, schema=tool.schema_hash)
        return believed in self.trusted_mcp_servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """All files together. `hash` is 64 hex digits over what they mean."""

    defaults: Defaults
    exact: Mapping[str, tuple[Entry, ...]]
    wild: tuple[tuple[re.Pattern[str], Entry], ...]
    hash: str

    def entries_for(self, name: str, tool: ToolSpec | None = None) -> tuple[Entry, ...]:
        """Every entry that speaks about the tool, by any of its names, the most specific first."""
        names = {name} if tool is None else {name, *tool.names}
        names = {known for known in names if len(known) <= MAX_NAME}
        found = [entry for known in sorted(names) for entry in self.exact.get(known, ())]
        if self.wild:
            found.extend(entry for pattern, entry in self.wild if any(map(pattern.fullmatch, names)))
        # Not by the order they were written in: a verdict's reasons come out the same, too.
        found.sort(key=lambda entry: (entry.pattern, entry.where))
        return tuple(sorted(found, key=lambda entry: entry.specificity, reverse=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that can be said about a tool before its arguments are known.

    `registered` False: there is no such tool in the process. `annotation` is what the Python source
    declares, where it is trusted; `floor` what it or the tool's server says at least, which counts even
    where neither is (`floor_of` is whose word that is). `hinted`: a trusted server says that it only reads.
    `no_undo` and `redaction` say why the tool may not run early, if it may not; each of `destinations`
    must accept what a call contacts. `before` is the plan of the tool that its undo has read first, `asking`
    that of the tool that tells versions; `no_version` says why it cannot be asked, if it cannot.
    `no_show` says what a person cannot be shown, and why.
    `no_patch` says why `patch` is not used, if it is not.
    """

    name: str
    tool: ToolSpec | None
    registered: bool
    entries: tuple[Entry, ...]
    defaults: Defaults
    policy_hash: str
    annotation: Annotation | None
    floor: EffectClass | None
    floor_of: str = ""
    hinted: bool = False
    settings: ToolSettings
    patch: Patch | None = None
    destinations: tuple[Destinations, ...] = ()
    predictors: frozenset[str] | None = None
    requires: tuple[Require, ...] = ()
    needs: Needs
    no_undo: str = ""
    redaction: str = ""
    before: Plan | None = None
    no_patch: str = ""
    asking: Plan | None = None
    no_version: str = ""
    no_show: tuple[str, ...] = ()

    @property
    def schema_hash(self) -> str:
        """The tool's schema hash, or nothing when the tool is not known."""
        return self.tool.schema_hash if self.tool else ""


_LATER = frozenset({"before", "returns"})
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Entry)}


def wildcard(pattern: str) -> re.Pattern[str]:
    """The pattern with `*` for any characters and everything else meaning itself."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def plain_entry(entry: Entry) -> dict[str, Any]:
    """What the entry means, as plain data without positions; for the policy hash."""
    said = ((name, getattr(entry, name)) for name in _DEFAULTS if name != "where")
    return {name: _plain(value) for name, value in said if value is not _DEFAULTS[name]}


def _plain(value: object) -> Any:
    if isinstance(value, Cel):
        return value.source
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        items = [_plain(item) for item in value]
        return sorted(items, key=repr)
    names = getattr(value, "__dataclass_fields__", None)
    if names is not None:
        plain = {name: _plain(getattr(value, name)) for name in sorted(names) if name != "where"}
        # A field that came later: a policy that does not use it keeps its hash.
        return {name: item for name, item in plain.items() if name not in _LATER or item is not None}
    return value
