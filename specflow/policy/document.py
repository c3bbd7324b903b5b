"""The shape of a policy file. Only here does pydantic look at what a person wrote."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from specflow.policy.fields import (
    Bytes,
    Condition,
    Count,
    Duration,
    Effect,
    Form,
    Money,
    OnArgs,
    OnKey,
    OnPatched,
    OnResult,
    OnUndo,
    Probability,
    Redacted,
    RuleId,
    SchemaHash,
    Template,
    ToolName,
    ToolPattern,
    When,
    one,
)


class Part(BaseModel):
    """What every part of the file has in common: nothing unknown, nothing guessed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        populate_by_name=False,
    )


class SpeculationPart(Part):
    min_confidence: Probability | None = Field(
        default=None, description="what a candidate needs to run early; 0.6"
    )
    max_concurrent: Count | None = Field(default=None, description="early calls at a time, over all tools; 4")
    max_wasted_usd: Money | None = Field(default=None, description="money that misfires may cost; 0.05")
    verify_sample: Probability | None = Field(default=None, description="of adopted reads, run again; 0")
    usd_per_second: Money | None = Field(default=None, description="what a second less is worth; 0.01")
    max_branches: Count | None = Field(
        default=None,
        description="early calls that wait for their adoption at a time, running or finished; 64",
    )
    max_depth: Count | None = Field(default=None, description="guesses on guesses, the first included; 5")
    max_result_bytes: Bytes | None = Field(
        default=None, description="bytes of early results held at a time; 64 MiB"
    )
    max_per_minute: Count | None = Field(default=None, description="early calls begun in a minute; 600")
    max_wasted_share: Probability | None = Field(
        default=None,
        description="of the last 20 early calls; above it only the surest are started until it recovers; 0.9",
    )


class DefaultsPart(Part):
    unlisted_tools: Literal["confirmation_required", "deny"] | None = Field(
        default=None, description="the effect of a tool that nothing classes"
    )
    confirm_unlisted: Literal["ask", "host"] | None = Field(
        default=None,
        description="who asks a person about an unlisted tool: specflow (ask) or the application (host)",
    )
    trust_annotations: bool | None = Field(
        default=None, description="false: the decorators in the Python source do not count"
    )
    speculation: SpeculationPart | None = None
    timeout: Duration | None = None
    confirm_within: Duration | None = Field(default=None, description="how long a person's yes may take; 24h")
    redact: list[Redacted] | None = Field(default=None, description="paths never stored in the clear")


class MatchPart(Part):
    mode: Literal["exact", "normalised"] = "exact"
    fields: dict[str, Form] = Field(default_factory=dict)
    ignore: list[str] = Field(default_factory=list)


class CachePart(Part):
    ttl: Duration
    scope: Literal["session", "thread", "tenant", "public"] = "session"


class DestinationsPart(Part):
    """What an early call may contact. `*.example.com` is any host below; `*` anything at all."""

    host: str | list[str] | None = None
    email: str | list[str] | None = Field(
        default=None, description="addresses or domains, such as *@example.com"
    )
    path: str | list[str] | None = Field(default=None, description="path prefixes, such as /srv/public/")

    @model_validator(mode="after")
    def _something(self) -> DestinationsPart:
        if self.host is None and self.email is None and self.path is None:
            raise ValueError("must say a host, an email or a path")
        for name in ("host", "email", "path"):
            value = getattr(self, name)
            texts = [] if value is None else [value] if isinstance(value, str) else value
            if value is not None and (not texts or not all(text.strip() for text in texts)):
                raise ValueError(f"{name} is empty")
        return self


class LimitsPart(Part):
    max_concurrent: Count | None = Field(default=None, description="early calls of the tool at a time")
    max_branches: Count | None = Field(
        default=None, description="early calls of the tool that wait for their adoption at a time"
    )
    max_per_minute: Count | None = Field(
        default=None, description="early calls of the tool begun in a minute"
    )
    cost_usd: Money | None = Field(default=None, description="the price of a call; 0")
    undo_usd: Money | None = Field(
        default=None, description="the price of undoing one; that of a call of its compensator"
    )
    visible_usd_per_second: Money | None = Field(
        default=None, description="the price of a second in which others can see a wrong effect; 0"
    )


class RetriesPart(Part):
    max: Annotated[int, Field(ge=0, le=20)] = 0
    backoff: Duration = 0.2


class BeforePart(Part):
    tool: ToolName = Field(description="a read_only tool, called just before")
    with_: dict[str, OnArgs] | None = Field(default=None, alias="with", description="each a CEL expression")


class CompensatePart(Part):
    tool: ToolName
    before: BeforePart | None = Field(
        default=None, description="reads what was there before, for an undo that writes it back"
    )
    with_: dict[str, OnUndo] | None = Field(
        default=None, alias="with", description="its arguments, each a CEL expression"
    )
    succeeded_when: OnUndo | None = Field(default=None, description="over the compensator's own result")
    tolerates_missing: bool = Field(default=False, description="may be called although nothing happened")
    within: Duration | None = None


class VerifyPart(Part):
    tool: ToolName
    with_: dict[str, OnKey] | None = Field(default=None, alias="with")


class PatchPart(Part):
    tool: ToolName
    fields: list[str] = Field(min_length=1, description="arguments that may differ")
    with_: dict[str, OnResult] = Field(
        alias="with", description="its arguments: args are the real call's, result is the early one's"
    )
    returns: OnPatched | None = Field(
        default=None, description="what the real call returns; omitted: what the patch tool returns"
    )


class AllowPart(Part):
    speculate: Literal["now", "hold"]
    min_confidence: Probability | None = None


class RequirePart(Part):
    effect: Effect | None = None
    speculate: Literal["hold", "never"] | None = None
    min_confidence: Probability | None = None
    confirm: Literal["ask"] | None = None

    @model_validator(mode="after")
    def _something(self) -> RequirePart:
        if not self.model_fields_set or all(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("must require an effect, a speculate, a min_confidence or confirm: ask")
        return self


class RulePart(Part):
    id: RuleId
    when: Condition
    unless: Condition | None = None
    allow: AllowPart | None = Field(
        default=None, description="loosens speculate only, and only when the condition is true"
    )
    require: RequirePart | None = Field(
        default=None, description="tightens, when the condition is true or cannot be evaluated"
    )

    @model_validator(mode="after")
    def _one(self) -> RulePart:
        if (self.allow is None) == (self.require is None):
            raise ValueError("a rule has either allow or require; write two rules for both")
        return self


class ToolPart(Part):
    effect: Effect | None = Field(
        default=None, description="omitted: what the annotation in the Python source says"
    )
    speculate: When | None = Field(default=None, description="omitted: now for reads, hold for compensatable")
    min_confidence: Probability | None = None
    confirm: Literal["ask", "host"] | None = None
    confirm_within: Duration | None = None
    show: list[BeforePart] | None = Field(default=None, max_length=8, description="read for the question")
    status: Literal["proposed", "reviewed"] | None = None
    reviewed: SchemaHash | None = Field(default=None, description="the schema hash a person has reviewed")
    predictors: list[str] | None = Field(default=None, description="who may start it; writes: partial_call")
    timeout: Duration | None = None
    retries: RetriesPart | None = None
    match: MatchPart | None = None
    reads: list[Template] | None = None
    writes: list[Template] | None = None
    cache: CachePart | None = None
    version: BeforePart | None = Field(default=None, description="tells whether what is read has changed")
    verify_sample: Probability | None = Field(default=None, description="of its adopted reads, run again")
    destinations: DestinationsPart | None = None
    limits: LimitsPart | None = None
    idempotency_key: str | None = Field(default=None, min_length=1)
    transaction: str | None = Field(default=None, min_length=1, description="takes one of the journal's")
    redact: list[Redacted] | None = None
    compensate: CompensatePart | None = None
    compensator_for: list[ToolName] | None = None
    verify: VerifyPart | None = None
    patch: PatchPart | None = None
    calls: list[ToolName] | None = Field(default=None, description="tools its own body calls; for lint")
    rules: list[RulePart] = Field(default_factory=list)

    @model_validator(mode="after")
    def _ids(self) -> ToolPart:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                raise ValueError(f"two rules are called {rule.id!r}")
            seen.add(rule.id)
        return self


class CallPart(Part):
    """One call, as tests and `explain` write it."""

    tool: str = Field(min_length=1)
    args: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    tainted: bool = False


class ExpectPart(Part):
    effect: Effect | None = None
    speculate: When | None = None
    confirm: Literal["ask", "host"] | None = None
    min_confidence: Probability | None = None
    reasons: list[str] | None = Field(
        default=None, description="codes or rule ids that must be among the reasons"
    )

    @model_validator(mode="after")
    def _something(self) -> ExpectPart:
        if not self.model_fields_set:
            raise ValueError("must expect something, such as speculate: never")
        return self


class InlineTest(Part):
    name: str = Field(min_length=1)
    call: CallPart
    expect: ExpectPart


class TrustedPart(Part):
    """An MCP server whose hints are believed, for the tools whose schema hashes are given."""

    name: str = Field(min_length=1)
    at: str = Field(min_length=1, description="its URL or command")
    schemas: dict[ToolName, SchemaHash] = Field(min_length=1)


class Document(Part):
    """A policy file."""

    version: Annotated[Literal[1], BeforeValidator(one)]
    defaults: DefaultsPart = Field(default_factory=DefaultsPart)
    trusted_mcp_servers: list[TrustedPart | str] | None = None
    tools: dict[ToolPattern, ToolPart] = Field(default_factory=dict)
    tests: list[InlineTest] = Field(default_factory=list)
