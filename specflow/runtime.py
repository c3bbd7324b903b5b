"""The composition root: which adapter fills which protocol. What users hold is a `Runtime`."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from specflow.clock import Clock, SystemClock
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import ConfigurationError, SpecflowError
from specflow.graph import nodes
from specflow.graph.calling import ToolCalls
from specflow.graph.compat import is_control_flow
from specflow.graph.confirm import Answer
from specflow.graph.host import Host
from specflow.graph.middleware import SpecflowMiddleware
from specflow.graph.tools import ToolLike, specs_of
from specflow.identity import IdSource, RandomIds
from specflow.journal.database import Durability
from specflow.journal.event import Observer, Observers
from specflow.journal.owner import owner_id
from specflow.journal.port import Journal
from specflow.journal.record import SessionRow
from specflow.journal.sql import SqlJournal
from specflow.policy.load import load
from specflow.policy.settings import Judge
from specflow.policy.verdict import Speculate
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import Predictor
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.sealing.environment import sealer_of
from specflow.sealing.sealer import VARIABLE, Sealer
from specflow.settlement.recover import Report, recover
from specflow.speculation.assemble import assemble
from specflow.speculation.living import Living
from specflow.speculation.parts import Mode
from specflow.telemetry import observers as telemetry_observers

log = logging.getLogger("specflow")

_SESSIONS_OF_THE_PROCESS: dict[str, asyncio.AbstractEventLoop] = {}
"""Only ids: by these a runtime sees that a session is not a dead one's but another runtime's."""

PolicyLike = str | Path | Sequence[str | Path] | Judge


class Runtime:
    """Speculation for the agents of this process.

    `policy` is a YAML file, a directory, several of them, or a loaded policy; without one nothing
    starts. `tools` are LangChain tools or plain functions. `journal` is a database URL
    (`sqlite:///file.db`, `postgresql+psycopg://...`) or a journal. `mode` is `off`, `shadow`,
    `canary:N%` or `on`. `context` is what policy conditions see as `context`: the host's configuration,
    never anything a model or a tool said. `durability` is `process` (survives kill -9) or `power`
    (survives a power cut). `conflict_wait` is how many seconds a real call waits for what is in its way: an
    early write that is being undone, or an effect of another session that holds what it would change.
    `sealer` keeps what the policy redacts, encrypted; without one, the keys in SPECFLOW_JOURNAL_KEY do, and
    without these it is not stored.

    Raises:
        PolicyError: the policy is missing or broken; every finding is in the message.
        JournalError: the journal's database cannot be used.
        AnnotationError: a tool's annotations contradict each other.
        ConfigurationError: an option has no such value, or SPECFLOW_JOURNAL_KEY cannot be used.
    """

    def __init__(
        self,
        policy: PolicyLike,
        *,
        tools: Iterable[ToolLike],
        journal: str | Journal = "sqlite:///specflow.db",
        mode: str = "on",
        context: Mapping[str, Any] | None = None,
        predictors: Sequence[Predictor] | None = None,
        observers: Iterable[Observer] = (),
        telemetry: bool = True,
        tenant: str = "",
        durability: Durability = "power",
        conflict_wait: float = 10.0,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        if isinstance(policy, str | Path | Sequence) and not policy:
            raise ConfigurationError("no policy was given", hint="see docs: write a policy")
        if not 0 <= conflict_wait < math.inf:
            raise ConfigurationError(
                f"conflict_wait={conflict_wait!r} is no waiting time",
                hint="seconds, 0 for not at all; 10 is usual",
            )
        self.mode = mode
        self.registry = ToolRegistry(specs_of(tools))
        sealer = sealer_of(os.environ) if sealer is None else sealer
        self.policy: Judge = _policy(policy, self.registry, keeps_secrets=sealer is not None)
        self.journal: Journal = (
            SqlJournal.open(journal, durability=durability) if isinstance(journal, str) else journal
        )
        tracing = telemetry_observers(redact=self._redacted) if telemetry else ()
        self.observers = Observers([*tracing, *observers])
        self._owner = owner_id()
        spans = tracing[0] if tracing else None
        self.host = Host(
            assemble(
                registry=self.registry,
                judge=self.policy,
                journal=self.journal,
                clock=clock or SystemClock(),
                ids=ids or RandomIds(),
                observers=self.observers,
                control_flow=is_control_flow,
                predictors=tuple(default_predictors() if predictors is None else predictors),
                mode=_mode(mode, self._owner),
                context=dict(context or {}),
                owner=self._owner,
                tenant=tenant,
                conflict_wait=conflict_wait,
                living=Living(_SESSIONS_OF_THE_PROCESS),
                surround=spans.attached if spans else lambda _id: nullcontext(),
                traceparent=spans.traceparent if spans else lambda _id: "",
                sealer=sealer,
            )
        )
        self._calls = ToolCalls(self.host)
        log.info("%s", self)

    # ------------------------------------------------------------------ ways into LangGraph

    def middleware(self) -> SpecflowMiddleware:
        """For `create_agent(model, tools, middleware=[rt.middleware()])`."""
        return SpecflowMiddleware(self.host)

    def model_node(self, call_model: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the node of a hand-built graph that calls the model."""
        return nodes.model_node(self.host, call_model)

    def tool_node(self, tools: Sequence[ToolLike], **options: Any) -> nodes.ToolNode:
        """LangGraph's ToolNode, in which early work is adopted; `options` go to ToolNode."""
        return nodes.tool_node(self.host, tools, **options)

    def fan_out(self, state: Any) -> Any:
        """The conditional edge after the model: one task per tool call, or END. The node is `tools`."""
        return nodes.fan_out(state)

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Answer]) -> Answer:
        """For a ToolNode of your own."""
        return self._calls.wrap(request, handler)

    async def awrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Answer:
        """For a ToolNode of your own, asynchronously."""
        return await self._calls.awrap(request, handler)

    # ------------------------------------------------------------------ settlement

    async def recover(self) -> Report:
        """Bring to rest what processes that died have left in the journal, with the tools of this one."""
        living = self.host.parts.living

        def orphaned(session: SessionRow) -> bool:
            return session.owner == self._owner and not living.lives(session.session_id)

        return await recover(self.journal, self.host.parts.settler, owner=self._owner, orphaned=orphaned)

    async def aclose(self) -> None:
        """Settle what is open, write what is queued, let go of the database."""
        await self.host.aclose()
        await self.journal.aclose()
        self.host.background.stop()

    def close(self) -> None:
        """The same for synchronous programs."""
        self.host.close()
        self.host.background.run(lambda _caller: self.journal.aclose())
        self.host.background.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        """One line: what will run early, what is held and why, and the mode."""
        early: list[str] = []
        held: list[str] = []
        for tool in self.registry:
            word = self._word(tool)
            (early if word == "early" else held).append(f"{tool.name}: {word}")
        shown = f" ({', '.join(held)})" if held else ""
        return f"{len(self.registry)} tools: {len(early)} early, {len(held)} held{shown}; mode: {self.mode}"

    def _word(self, tool: ToolSpec) -> str:
        if tool.injected:
            return "injected state"
        try:
            verdict = self.policy.judge(tool, tool.call({}), context=self.host.parts.context)
        except SpecflowError as error:
            return error.code
        return "early" if verdict.speculate is Speculate.NOW else verdict.effect.replace("_required", "")

    def _redacted(self, tool: str) -> Sequence[str]:
        """Paths of a tool's arguments and result that no trace may show."""
        spec = self.registry.get(tool)
        return self.policy.settings(spec).redact if spec is not None else ()


def default_predictors() -> tuple[Predictor, ...]:
    """Fresh ones: what the reasoning says, and what the streamed arguments already are."""
    return (ReasoningSniffer(), PartialCallPredictor())


def _policy(policy: PolicyLike, registry: ToolRegistry, *, keeps_secrets: bool) -> Judge:
    if isinstance(policy, str | Path):
        return load(policy, tools=registry, keeps_secrets=keeps_secrets)
    if isinstance(policy, Sequence):
        return load(list(policy), tools=registry, keeps_secrets=keeps_secrets)
    if getattr(policy, "keeps_secrets", False) and not keeps_secrets:
        # INVARIANT: nothing runs early on the word that a secret will be kept which nobody keeps.
        raise ConfigurationError(
            "the policy was loaded with keeps_secrets=True, and nothing keeps secrets here",
            hint=f"set {VARIABLE}",
        )
    return policy


def _mode(mode: str, owner: str) -> Mode:
    """`canary:10%` switches a fixed tenth of all processes on, chosen by a hash of their name."""
    if mode.startswith("canary:"):
        text = mode.removeprefix("canary:").removesuffix("%")
        if not text.isdecimal() or int(text) > 100:
            raise ConfigurationError(f"mode {mode!r} has no percentage", hint="for example canary:10%")
        bucket = int(hashlib.sha256(owner.encode()).hexdigest(), 16) % 100
        return Mode.ON if bucket < int(text) else Mode.OFF
    try:
        return Mode(mode)
    except ValueError as error:
        raise ConfigurationError(f"there is no mode {mode!r}", hint="off, shadow, canary:N% or on") from error
