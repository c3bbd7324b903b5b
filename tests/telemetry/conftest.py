"""Scripted event sequences as the core emits them, and a receiver to look at what arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.journal.event import CallEvent, EventKind, Observer
from specflow.policy.verdict import Reason, Speculate, Verdict
from specflow.prediction.candidate import Candidate
from specflow.telemetry.spans import SpanObserver
from specflow.testing.otlp_receiver import OtlpReceiver
from specflow.testing.span_tree import ReceivedSpan

EPOCH = 1_800_000_000_000_000_000


def stamp(event: CallEvent) -> int:
    return EPOCH + round(event.at * 1e9)


class Story:
    """Emits events in the core's order; `at` moves by `tick` only."""

    def __init__(self, *observers: Observer, session: str = "ses_1", thread: str = "thread-1") -> None:
        self.observers = observers
        self.session, self.thread = session, thread
        self.at = 0.0

    def tick(self, seconds: float) -> None:
        self.at += seconds

    def emit(self, kind: EventKind, *, error: str = "", **fields: Any) -> None:
        event = CallEvent(
            kind=kind, at=self.at, session_id=self.session, thread=self.thread, error=error, **fields
        )
        for observer in self.observers:
            observer.see(event)

    def verdict(self, effect: EffectClass = EffectClass.READ_ONLY) -> Verdict:
        early = effect in {EffectClass.READ_ONLY, EffectClass.COMPENSATABLE}
        return Verdict(
            effect=effect,
            speculate=Speculate.NOW if early else Speculate.NEVER,
            reasons=(Reason(code="reads-first", message="secret-in-message"),),
            policy_hash="ab" * 32,
        )

    def turn(self, turn: str = "turn_1", **facts: Any) -> None:
        self.emit(EventKind.TURN_STARTED, turn_id=turn, facts={"tools": 3, **facts})

    def turn_over(self, turn: str = "turn_1", calls: int = 1, launched: int = 1) -> None:
        self.emit(EventKind.TURN_ENDED, turn_id=turn, facts={"calls": calls, "launched": launched})

    def launch(
        self,
        tool: str,
        args: dict[str, Any],
        spec: str,
        *,
        turn: str = "turn_1",
        effect: EffectClass = EffectClass.READ_ONLY,
        effect_id: str = "",
    ) -> None:
        call = Call(tool=tool, args=args)
        candidate = Candidate(call=call, confidence=0.9, predictor="sniffer", evidence="secret-evidence")
        self.emit(EventKind.PROPOSED, turn_id=turn, candidate=candidate, call=call)
        self.emit(
            EventKind.LAUNCHED,
            turn_id=turn,
            speculation_id=spec,
            candidate=candidate,
            verdict=self.verdict(effect),
            effect_id=effect_id,
        )
        self.emit(EventKind.RUN_STARTED, speculation_id=spec, effect_id=effect_id)

    def withhold(self, tool: str, args: dict[str, Any], cause: str, turn: str = "turn_1") -> None:
        call = Call(tool=tool, args=args)
        candidate = Candidate(call=call, confidence=0.3, predictor="history")
        self.emit(EventKind.PROPOSED, turn_id=turn, candidate=candidate, call=call)
        self.emit(EventKind.WITHHELD, turn_id=turn, candidate=candidate, cause=cause, verdict=self.verdict())

    def run_over(self, spec: str, outcome: str = "ok", error: str = "") -> None:
        self.emit(EventKind.RUN_ENDED, speculation_id=spec, outcome=outcome, error=error)

    def call(self, tool: str, args: dict[str, Any], call_id: str, **facts: Any) -> None:
        self.emit(
            EventKind.CALL_STARTED,
            call_id=call_id,
            call=Call(tool=tool, args=args),
            verdict=self.verdict(),
            facts=facts,
        )

    def call_over(self, call_id: str, outcome: str, spec: str = "", error: str = "", **facts: Any) -> None:
        self.emit(
            EventKind.CALL_ENDED,
            call_id=call_id,
            outcome=outcome,
            speculation_id=spec,
            error=error,
            facts=facts,
        )

    def resolve(self, spec: str, outcome: str, cause: str = "", error: str = "", **facts: Any) -> None:
        self.emit(
            EventKind.RESOLVED, speculation_id=spec, outcome=outcome, cause=cause, error=error, facts=facts
        )

    def undo(
        self, tool: str, args: dict[str, Any], *, spec: str = "", effect: str = "", **facts: Any
    ) -> None:
        self.emit(
            EventKind.COMPENSATION_STARTED,
            speculation_id=spec,
            effect_id=effect,
            call=Call(tool=tool, args=args),
            facts=facts,
        )

    def undo_over(self, outcome: str, *, spec: str = "", effect: str = "", error: str = "") -> None:
        self.emit(
            EventKind.COMPENSATION_ENDED, speculation_id=spec, effect_id=effect, outcome=outcome, error=error
        )

    def ask(self, tool: str, args: dict[str, Any], call_id: str, **facts: Any) -> None:
        self.emit(EventKind.CONFIRMATION_ASKED, call_id=call_id, call=Call(tool=tool, args=args), facts=facts)

    def answer(self, tool: str, args: dict[str, Any], call_id: str, cause: str, **facts: Any) -> None:
        self.emit(
            EventKind.CONFIRMATION_ANSWERED,
            call_id=call_id,
            call=Call(tool=tool, args=args),
            cause=cause,
            facts=facts,
        )

    def settle(self, **facts: Any) -> None:
        self.emit(EventKind.SETTLED, facts=facts)


def travel(story: Story) -> None:
    """A trip: one hit, one late hit, a wrong booking taken back, and a payment that a person approves."""
    search = {"origin": "BER", "destination": "LIS"}
    sky = {"city": "Lisbon"}
    wrong, right = {"flight_id": "TP533"}, {"flight_id": "TP537"}
    story.turn(model="big-model")
    story.tick(0.8)
    story.launch("search_flights", search, "spec_1")
    story.withhold("charge_card", {"amount": 240}, "policy")
    story.tick(0.9)
    story.launch("weather", sky, "spec_2")
    story.tick(0.6)
    story.run_over("spec_1")
    story.tick(0.7)
    story.turn_over(calls=2, launched=2)
    story.tick(0.05)
    story.call("search_flights", search, "call_1")
    story.call("weather", sky, "call_2")
    story.call_over("call_1", "hit", "spec_1", saved=1.5, runway=2.25)
    story.resolve("spec_1", "hit", saved=1.5, runway=2.25)
    story.tick(0.4)
    story.run_over("spec_2")
    story.call_over("call_2", "late", "spec_2", saved=1.35, runway=1.35)
    story.resolve("spec_2", "late", saved=1.35, runway=1.35)
    story.tick(0.05)

    story.turn("turn_2", model="big-model")
    story.tick(0.5)
    story.launch(
        "book_flight", wrong, "spec_3", turn="turn_2", effect=EffectClass.COMPENSATABLE, effect_id="eff_3"
    )
    story.tick(0.8)
    story.run_over("spec_3")
    story.tick(0.9)
    story.turn_over("turn_2")
    story.undo("cancel_booking", {"booking_id": "B1"}, spec="spec_3", effect="eff_3")
    story.tick(0.3)
    story.undo_over("compensated", spec="spec_3", effect="eff_3")
    story.resolve("spec_3", "compensated", "mismatch", wasted=1.1)
    story.tick(0.05)
    story.call("book_flight", right, "call_3")
    story.tick(0.8)
    story.call_over("call_3", "miss")
    story.tick(0.05)

    story.call("charge_card", {"amount": 240}, "call_4")
    story.ask("charge_card", {"amount": 240}, "call_4")
    story.tick(1.2)
    story.answer("charge_card", {"amount": 240}, "call_4", "approve")
    story.tick(0.4)
    story.call_over("call_4", "miss")
    story.settle()


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


class Traced:
    """A `SpanObserver` that exports to a receiver over real HTTP, and what arrived."""

    def __init__(self, receiver: OtlpReceiver, **options: Any) -> None:
        receiver.clear()
        self.receiver = receiver
        self.provider = TracerProvider(shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{receiver.endpoint}/v1/traces", compression=Compression.Gzip)
        self.provider.add_span_processor(SimpleSpanProcessor(exporter))
        self.observer = SpanObserver(self.provider, stamp=stamp, **options)
        self.story = Story(self.observer)

    @property
    def spans(self) -> Sequence[ReceivedSpan]:
        return self.receiver.spans

    def one(self, name: str) -> ReceivedSpan:
        found = [span for span in self.spans if span.name == name]
        assert len(found) == 1, f"{len(found)} spans named {name}:\n{self.receiver.tree()}"
        return found[0]


@pytest.fixture
def traced(receiver: OtlpReceiver) -> Iterator[Callable[..., Traced]]:
    made: list[Traced] = []

    def make(**options: Any) -> Traced:
        made.append(Traced(receiver, **options))
        return made[-1]

    yield make
    for each in made:
        each.provider.shutdown()


@pytest.fixture
def story_class() -> type[Story]:
    return Story


@pytest.fixture
def travel_story() -> Callable[[Story], None]:
    return travel
