"""The real core without LangGraph: propose, end the turn, call for real, settle; step by step.

Tests say what is predicted and what the real run does; coordinator, door, journal and settlement in
between are the real ones.
"""

from __future__ import annotations

import contextvars
import copy
import random
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

from specflow.clock import Clock, LoopClock
from specflow.effects.call import Call, digest
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import Runner, ToolSpec
from specflow.identity import SeededIds
from specflow.journal.event import CallEvent, EventKind, Observers
from specflow.journal.port import Journal
from specflow.policy.settings import Judge
from specflow.prediction.calibration.ensemble import Ensemble
from specflow.prediction.candidate import Candidate, Proposal, Retraction
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import AnyPredictor, HistoryItem, TurnContext
from specflow.prediction.result_guess import GuessesResults
from specflow.sealing.sealer import Sealer
from specflow.settlement.recover import Report, recover
from specflow.settlement.undo import Persistence
from specflow.speculation.adopt import RealCall
from specflow.speculation.assemble import assemble
from specflow.speculation.canary import Canary
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.fork import Forker
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.parts import Mode
from specflow.speculation.session import Session, SessionKey
from specflow.speculation.shelf import Shelf
from specflow.speculation.turn import Turn
from specflow.testing.at_their_word import AtTheirWord


@dataclass(slots=True)
class EventLog:
    """An observer that keeps every event, in order."""

    events: list[CallEvent] = field(default_factory=list)

    def see(self, event: CallEvent) -> None:
        """Keep it."""
        self.events.append(event)

    def of(self, kind: EventKind) -> list[CallEvent]:
        """The events of one kind."""
        return [event for event in self.events if event.kind is kind]

    def outcomes(self) -> dict[str, int]:
        """How real calls were answered and how speculations ended, counted as the demo counts them.

        hit, late, miss and stale are answers to real calls; cancelled, compensated and stuck are ends of
        speculations.
        """
        counted = dict.fromkeys(("hit", "late", "miss", "stale", "cancelled", "compensated", "stuck"), 0)
        for event in self.of(EventKind.CALL_ENDED):
            if event.outcome in {"hit", "late", "miss", "stale"}:
                counted[event.outcome] += 1
        for event in self.of(EventKind.RESOLVED):
            if event.outcome in {"cancelled", "compensated", "stuck"}:
                counted[event.outcome] += 1
        return counted


class _Prompter:
    """A predictor that proposes what the test tells it to, when the next chunk is heard."""

    name = "scripted"

    def __init__(self) -> None:
        self.queue: list[Proposal] = []

    def listen(self, context: TurnContext) -> _Prompter:
        return self

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        said, self.queue = self.queue, []
        return said


class ScriptedCore:
    """Drives one coordinator. Works on a real loop and on a seeded one with virtual time.

    Predictors are taken at their word, however often they were wrong, unless an `ensemble` is given.
    """

    def __init__(
        self,
        tools: Iterable[ToolSpec],
        judge: Judge,
        journal: Journal,
        *,
        thread: str = "thread",
        seed: int = 0,
        clock: Clock | None = None,
        mode: Mode = Mode.ON,
        canary: Canary | None = None,
        shelf: Shelf | None = None,
        owner: str = "scripted",
        conflict_wait: float = 10.0,
        persistence: Persistence | None = None,
        saga: bool = False,
        sealer: Sealer | None = None,
        tenant: str = "",
        predictors: Sequence[AnyPredictor] = (),
        result_guessers: Sequence[GuessesResults] = (),
        forker: Forker | None = None,
        lookahead: Lookahead | None = None,
        ensemble: Ensemble | None = None,
    ) -> None:
        self.log = EventLog()
        self.journal = journal
        registry = ToolRegistry(tools)
        self._prompter = _Prompter()
        self.parts = assemble(
            registry=registry,
            judge=judge,
            journal=journal,
            clock=clock or LoopClock(),
            ids=SeededIds(seed),
            observers=Observers([self.log]),
            persistence=persistence,
            predictors=(self._prompter, *predictors),
            result_guessers=tuple(result_guessers),
            forker=forker,
            lookahead=lookahead or Lookahead(),
            mode=mode,
            canary=canary,
            shelf=shelf or Shelf(),
            ensemble=ensemble or AtTheirWord(),
            owner=owner,
            conflict_wait=conflict_wait,
            jitter=random.Random(seed),  # noqa: S311 - must be repeatable
            saga=saga,
            sealer=sealer,
            tenant=tenant,
        )
        self.settler = self.parts.settler
        self.coordinator = Coordinator(self.parts)
        self.key = SessionKey(thread=thread)
        self._calls = 0

    def beside(self, thread: str) -> ScriptedCore:
        """Another conversation on the same coordinator."""
        other = copy.copy(self)
        other.key = SessionKey(thread=thread)
        return other

    def begin_run(self, run_key: str, known: Iterable[tuple[str, Call]] | None = None) -> None:
        """A logical run begins, or goes on with a checkpoint that knows these calls by their `identity`."""
        names = None if known is None else [self._identity(name, call) for name, call in known]
        self.coordinator.begin_run(self.session, run_key, known=names)

    def _identity(self, name: str, call: Call) -> str:
        return digest(name, self.key.thread, call.fingerprint)

    async def take_back(self) -> None:
        """The run has failed: what it committed is undone as well."""
        await self.coordinator.take_back(self.session)

    @property
    def session(self) -> Session:
        """The session of the thread."""
        return self.coordinator.session(self.key)

    def begin(self, *, lane: str = "", history: Sequence[HistoryItem] = ()) -> Turn:
        """A model turn starts."""
        context = TurnContext(tools=self.parts.registry, history=history)
        return self.coordinator.begin_turn(self.session, context, contextvars.copy_context(), lane=lane)

    def propose(self, turn: Turn, tool: str, confidence: float = 0.9, **args: Any) -> Call:
        """The predictor believes in this call."""
        call = Call(tool=tool, args=args)
        self.say(turn, Candidate(call=call, confidence=confidence, predictor="scripted"))
        return call

    def retract(self, turn: Turn, call: Call, reason: str = "amended") -> None:
        """The predictor believes in it no longer."""
        self.say(turn, Retraction(call=call, predictor="scripted", reason=reason))

    def say(self, turn: Turn, *proposals: Proposal) -> None:
        """Whichever predictor, this is what it makes of the next chunk."""
        self._prompter.queue += proposals
        self.coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text="."))

    def end(self, turn: Turn, calls: Sequence[Call] = (), cause: str = "") -> None:
        """The model's message is there, and asks for `calls`."""
        self.coordinator.end_turn(turn, calls, cause)

    async def call(
        self,
        call: Call,
        *,
        identity: str = "",
        approved: bool = False,
        runner: Runner | None = None,
        lane: str = "",
        origin: object = None,
    ) -> Any:
        """The real run executes a call. The same `identity` again is the same call, repeated."""
        self._calls += 1
        tool = self.parts.registry.require(call.tool)
        body = runner or tool.runner
        assert body is not None
        return await self.coordinator.real_call(
            self.session,
            RealCall(
                call=call,
                tool=tool,
                runner=body,
                identity=self._identity(identity or f"call {self._calls}", call),
                call_id=f"call_{self._calls}",
                approved=approved,
                lane=lane,
                origin=origin,
            ),
        )

    async def settle(self) -> None:
        """The run ends."""
        await self.coordinator.settle(self.session)

    async def aclose(self) -> None:
        """No run will come any more."""
        await self.coordinator.aclose()

    def left_behind(self) -> list[str]:
        """What the coordinator still holds, in words; nothing, once it is closed."""
        sessions = self.coordinator._sessions  # noqa: SLF001 - nobody else asks
        held: dict[str, Sized] = {
            "open sessions": sessions._open,  # noqa: SLF001 - as above
            "sessions being closed": sessions._closing,  # noqa: SLF001 - as above
            "sessions being taken over": sessions._orphans,  # noqa: SLF001 - as above
            "sessions at work": self.parts.living._own,  # noqa: SLF001 - as above
            "kept reads": sessions._kept,  # noqa: SLF001 - as above
        }
        return [f"{len(kept)} {name}" for name, kept in held.items() if kept]

    async def recover(self, owner: str = "another") -> Report:
        """Recover what dead processes left, as another process would."""
        return await recover(self.journal, self.settler, owner=owner)
