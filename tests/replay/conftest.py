"""Synthetic recorded runs, and predictors that say what a test wants said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import TurnContext
from specflow.traces.recorded import RecordedRun

POLICY = """
version: 1
defaults: {speculation: {min_confidence: 0.5, max_concurrent: 2}, timeout: 600s}
tools:
  read: {effect: read_only, speculate: now, reads: ["thing:{args.id}"], destinations: {host: a.example}}
  other: {effect: read_only, speculate: now, destinations: {host: a.example}, limits: {cost_usd: 0.01}}
  quick: {effect: read_only, speculate: now, timeout: 1s, reads: ["quick:1"], destinations: {host: a.example}}
  lasting:
    effect: read_only
    speculate: now
    reads: ["lasting:1"]
    cache: {ttl: 30s, scope: session}
    destinations: {host: a.example}
  loose:
    effect: read_only
    speculate: now
    reads: ["loose:1"]
    match: {mode: normalised, ignore: [note]}
    destinations: {host: a.example}
  held: {effect: read_only, speculate: hold, reads: ["held:1"]}
  book:
    effect: compensatable
    speculate: now
    predictors: [guesser]
    writes: ["thing:{args.id}"]
    destinations: {host: a.example}
    compensate: {tool: unbook, with: {id: args.id}, tolerates_missing: true}
  unbook: {effect: confirmation_required, confirm: host, compensator_for: [book]}
  pay: {effect: confirmation_required, confirm: host}
  banned: {effect: deny}
"""
NAMES = ("read", "other", "quick", "lasting", "loose", "held", "book", "unbook", "pay", "banned")
SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["id"],
}


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}}


def answer(
    seconds: float | None, *calls: tuple[str, Mapping[str, Any]], reasoning: str = "one two three four five"
) -> dict[str, Any]:
    """A turn of the assistant that thinks for so long and makes these calls."""
    return {
        "role": "assistant",
        "reasoning": reasoning,
        "gen_s": seconds,
        "tool_calls": [{"id": f"c{k}", "name": name, "args": args} for k, (name, args) in enumerate(calls)],
        "tool_results": [{"id": f"c{k}", "content": f"answer {k}"} for k, _ in enumerate(calls)],
    }


def record(*turns: Mapping[str, Any], tools: Iterable[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """A run as its line says it."""
    listed = [tool(name) for name in NAMES] if tools is None else list(tools)
    return {"model": "synthetic", "task_id": 1, "tools": listed, "turns": list(turns)}


@dataclass(slots=True)
class Guesser:
    """Proposes, in turn k, the call of each (place, call, confidence) when the piece of that place is heard.

    Place 0 is before the model's first word.
    """

    guesses: Sequence[Sequence[tuple[int, Call, float]]]
    name: str = "guesser"
    turn: int = -1

    def listen(self, context: TurnContext) -> Ear:
        self.turn += 1
        mine = self.guesses[self.turn] if self.turn < len(self.guesses) else ()
        return Ear(guesses=mine, name=self.name)


@dataclass(slots=True, kw_only=True)
class Ear:
    guesses: Sequence[tuple[int, Call, float]]
    name: str
    heard: int = field(default=-1)

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        self.heard += 1
        return [
            Candidate(call=call, confidence=confidence, predictor=self.name)
            for place, call, confidence in self.guesses
            if place == self.heard
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What the tests of this folder share."""

    policy: str = POLICY
    tool: Callable[..., dict[str, Any]] = tool
    answer: Callable[..., dict[str, Any]] = answer
    record: Callable[..., dict[str, Any]] = record
    guesser: Callable[..., Guesser] = Guesser

    def run(self, *turns: Mapping[str, Any]) -> RecordedRun:
        return RecordedRun.model_validate(record(*turns))


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
