"""The composition root: which adapter fills which protocol. What users hold is a `Runtime`."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from specflow.clock import Clock, SystemClock
from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError
from specflow.graph import nodes
from specflow.graph.calling import ToolCalls
from specflow.graph.confirm import Answer
from specflow.graph.fork.expecting import Expecting
from specflow.graph.fork.forking import forking
from specflow.graph.fork.run import GraphForker
from specflow.graph.host import HasHost, Host
from specflow.graph.middleware import SpecflowMiddleware
from specflow.graph.stops import stops
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
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import AnyPredictor, Predictor
from specflow.prediction.result_guess import GuessesResults
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.sealing.environment import sealer_of
from specflow.sealing.sealer import VARIABLE, Sealer
from specflow.settlement.recover import Report, recover
from specflow.speculation.announce import in_a_line
from specflow.speculation.assemble import assemble
from specflow.speculation.canary import canary_of
from specflow.speculation.living import Living
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.parts import Mode
from specflow.speculation.remember import remembering
from specflow.speculation.shelf import Shelf
from specflow.telemetry import observers as telemetry_observers

log = logging.getLogger("specflow")

_SESSIONS_OF_THE_PROCESS: dict[str, asyncio.AbstractEventLoop] = {}
"""Only ids: by these a runtime sees that a session is not a dead one's but another runtime's."""

_SHELF_OF_THE_PROCESS = Shelf()
"""What agents of this process may have of each other, and all that they write."""

G = TypeVar("G")
PolicyLike = str | Path | Sequence[str | Path] | Judge


class Runtime(HasHost):
    """Speculation for the agents of this process.

    `policy` is a YAML file, a directory, several of them, or a loaded policy; without one nothing
    starts. `tools` are LangChain tools or plain functions. `journal` is a database URL
    (`sqlite:///file.db`, `postgresql+psycopg://...`) or a journal. `mode` is `off`, `shadow`,
    `canary:N%` (`on` in a share of the conversations, `shadow` in the others) or `on`. `context` is what
    policy conditions see as `context`: the host's configuration, never anything a model or a tool said.
    `durability` is `process` (survives kill -9) or `power` (survives a power cut). `conflict_wait` is how
    many seconds a real call waits for what is in its way: an early write that is being undone, or an effect
    of another session that holds what it would change.
    `predictors` listen to the model or foresee its calls (None: the two that listen); `result_guessers` guess
    what pending calls return, so that what follows starts before they do (none unless given); `lookahead`
    limits how far both go. Attached graphs are run ahead on such guesses.
    `patterns` is a file of what earlier conversations have taught (`specflow patterns train`): the predictor
    `history` is added, and goes by it, as the sniffer does by the trigger phrases in it; both go on learning,
    and it is written again when the runtime is closed (without such a file they begin with nothing). With a
    `precision` (0.8, say) only guesses are started that are right in that share, tool by tool. `sealer` keeps
    what the policy redacts, encrypted; without one, the keys in SPECFLOW_JOURNAL_KEY do, or it is not stored.

    Raises:
        PolicyError: the policy is missing or broken; every finding is in the message.
        JournalError: the journal's database cannot be used.
        AnnotationError: a tool's annotations contradict each other.
        ConfigurationError: an option has no such value, or SPECFLOW_JOURNAL_KEY cannot be used.
        PatternsError: the file of patterns cannot be read.
    """

    def __init__(
        self,
        policy: PolicyLike,
        *,
        tools: Iterable[ToolLike],
        journal: str | Journal = "sqlite:///specflow.db",
        mode: str = "on",
        context: Mapping[str, Any] | None = None,
        predictors: Sequence[AnyPredictor] | None = None,
        result_guessers: Sequence[GuessesResults] = (),
        lookahead: Lookahead | None = None,
        observers: Iterable[Observer] = (),
        telemetry: bool = True,
        tenant: str = "",
        durability: Durability = "power",
        conflict_wait: float = 10.0,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        sealer: Sealer | None = None,
        patterns: str | Path | None = None,
        precision: float | None = None,
    ) -> None:
        if isinstance(policy, str | Path | Sequence) and not policy:
            raise ConfigurationError("no policy was given", hint="see docs: write a policy")
        if not 0 <= conflict_wait < math.inf:
            raise ConfigurationError(
                f"conflict_wait={conflict_wait!r} is no waiting time",
                hint="seconds, 0 for not at all; 10 is usual",
            )
        self.mode = mode
        canary = canary_of(mode)
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
        heard = tuple(default_predictors() if predictors is None else predictors)
        self._remembers = remembering(patterns, self.policy)
        self._remembers.share(heard)
        self.host = Host(
            assemble(
                registry=self.registry,
                judge=self.policy,
                journal=self.journal,
                clock=clock or SystemClock(),
                ids=ids or RandomIds(),
                observers=self.observers,
                control_flow=stops,
                predictors=(*heard, *self._remembers.predictors),
                result_guessers=tuple(result_guessers),
                lookahead=lookahead or Lookahead(),
                mode=Mode.ON if canary is not None else Mode(mode),
                canary=canary,
                context=dict(context or {}),
                owner=self._owner,
                tenant=tenant,
                ensemble=self._remembers.ensemble(precision),
                conflict_wait=conflict_wait,
                living=Living(_SESSIONS_OF_THE_PROCESS),
                forker=GraphForker(lambda: self.host.coordinator()),  # noqa: PLW0108 - there is no host yet
                shelf=_SHELF_OF_THE_PROCESS,
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

    def model(self, model: Any) -> Any:
        """The same chat model, for nodes that call it themselves: what forks were told is adopted."""
        return model if self.host.off else forking(self.host).model(model)

    def attach(self, graph: G, *, pure: Iterable[str] = ()) -> G:
        """Let this compiled graph, which is returned, be run ahead on guesses of what pending calls return.

        A fork runs model and tool nodes, and those free of side effects: named in `pure` (middleware, too),
        or added with `metadata={"specflow": "pure"}`. Before any other node it ends.

        Raises:
            ConfigurationError: it is no compiled graph, or has nothing of such a name.
        """
        forking(self.host).attachments.attach(graph, pure)
        return graph

    def expecting(self, graph: Any, config: Mapping[str, Any], *, context: Any = None) -> Expecting:
        """While a person is waited for: run the attached graph ahead on guesses of the answer.

        After a run has ended, the result guessers are asked what the user will say next (a call named
        `user`); after an interrupt, what it will be resumed with (`person`). Use it `with` or `async with`,
        say `answered(value)` inside, and then run the graph as ever; `context` is what it will be given.

        Raises:
            ConfigurationError: the graph is not attached, or nothing says which conversation it is.
        """
        return Expecting(self.host, forking(self.host).attachments, graph, config, context)

    def fan_out(self, state: Any) -> Any:
        """The conditional edge after the model: one task per tool call, or END. The node is `tools`."""
        return nodes.fan_out(state)

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Answer]) -> Answer:
        """For a ToolNode of your own."""
        return self._calls.wrap(request, handler)

    async def awrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Answer:
        """For a ToolNode of your own, asynchronously."""
        return await self._calls.awrap(request, handler)

    async def learn(self, most: int = 5_000) -> None:
        """Begin with what the journal knows of how the last `most` guesses ended, instead of with nothing.

        Raises:
            JournalError: the journal cannot be read.
        """
        self.host.parts.odds.load(await self.journal.predictions(most))

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
        self._remembers.save()
        self.host.background.stop()

    def close(self) -> None:
        """The same for synchronous programs."""
        self.host.close()
        self.host.background.run(lambda _caller: self.journal.aclose())
        self._remembers.save()
        self.host.background.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def reinstate(self, tool: str) -> bool:
        """Call a tool early again whose early results had diverged (`verify_sample`). False: they had not."""
        return self.host.parts.demotions.reinstate(tool)

    def switch(self, predictor: str, *, on: bool) -> None:
        """Believe nothing that this predictor says from now on, or believe it again. Others go on."""
        self.host.parts.ensemble.switch(predictor, on=on)

    def __str__(self) -> str:
        """One line: what will run early, what is held and why, and the mode."""
        return f"{in_a_line(self.host.parts)}; mode: {self.mode}"

    def _redacted(self, tool: str) -> Sequence[str]:
        """Paths of a tool's arguments and result that no trace may show."""
        spec = self.registry.get(tool)
        return self.policy.settings(spec).redact if spec is not None else ()


def default_predictors() -> tuple[Predictor, ...]:
    """Fresh ones: what the reasoning says, and what the streamed arguments already are."""
    return (ReasoningSniffer(), PartialCallPredictor())


def _policy(policy: PolicyLike, registry: ToolRegistry, *, keeps_secrets: bool) -> Judge:
    if isinstance(policy, str | Path | Sequence):
        files = policy if isinstance(policy, str | Path) else list(policy)
        return load(files, tools=registry, keeps_secrets=keeps_secrets)
    if getattr(policy, "keeps_secrets", False) and not keeps_secrets:
        # INVARIANT: nothing runs early on the word that a secret will be kept which nobody keeps.
        raise ConfigurationError(
            "the policy was loaded with keeps_secrets=True, and nothing keeps secrets here",
            hint=f"set {VARIABLE}",
        )
    return policy
