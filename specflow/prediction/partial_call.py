"""The predictor that hears a tool call while it is being written, and starts it before the message ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate, Proposal, Retraction
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.fit import fitting_call
from specflow.prediction.partial_json import ObjectReader
from specflow.prediction.predictor import TurnContext
from specflow.prediction.proposals import LiveProposals

NAME = "partial_call"
CLOSED = 0.999
"""Confidence when the arguments object has ended: only a retry or a cut-off stream can still prevent it."""
ALL_MEMBERS = 0.97
"""Confidence when every declared parameter is closed but the object is not: a duplicate key may follow."""
MAX_CALLS = 64
MAX_NAME = 256
MAX_EARLY = 2
"""Looks before the object ends, per call: a stream that repeats keys for ever is looked at no more."""


@dataclass(slots=True)
class _Writing:
    """One call that is being written."""

    tool: str = ""
    reader: ObjectReader = field(default_factory=ObjectReader)
    proposed: Call | None = None
    early: int = 0
    seen: tuple[str, int, bool, bool] = ("", -1, False, False)
    finished: bool = False


class PartialCallPredictor:
    """Proposes the streamed call itself, as soon as its arguments cannot grow any more."""

    @property
    def name(self) -> str:
        return NAME

    def listen(self, context: TurnContext) -> PartialCallListener:
        """A listener for one turn; several streams (retries) may come, the newest counts."""
        return PartialCallListener(context)


class PartialCallListener:
    """Accumulates pieces by index within the newest stream.

    INVARIANT: a value is proposed only when closed, and a proposal that more text contradicts is retracted
    before anything else is said about that call.
    """

    def __init__(self, context: TurnContext) -> None:
        self._tools = context.tools
        self._writing: dict[int, _Writing] = {}
        self._live = LiveProposals(predictor=NAME)
        self._streams: list[str] = []

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        """Retractions and candidates that this chunk makes certain."""
        restarted: tuple[Retraction, ...] = ()
        if not self._streams or chunk.stream != self._streams[-1]:
            if chunk.stream in self._streams:
                return ()  # a late piece of an attempt that was given up
            self._streams = [*self._streams[-15:], chunk.stream]
            self._writing.clear()
            restarted = self._live.retract_all("the stream was started again")
        if chunk.kind is not ChunkKind.TOOL_CALL:
            return restarted
        return tuple(itertools.chain(restarted, self._piece(chunk)))

    def _piece(self, chunk: Chunk) -> Iterator[Proposal]:
        writing = self._writing.get(chunk.index)
        if writing is None:
            if len(self._writing) >= MAX_CALLS:
                return
            writing = self._writing[chunk.index] = _Writing()
        if writing.finished and not (chunk.text or chunk.tool):
            return
        writing.tool = self._name(writing.tool, chunk.tool)
        writing.reader.feed(chunk.text)
        writing.finished = writing.finished or chunk.complete
        state = (writing.tool, writing.reader.version, writing.reader.closed, writing.reader.broken)
        if state == writing.seen and not chunk.complete:
            return
        writing.seen = state
        yield from self._judge(writing)

    def _name(self, known: str, piece: str) -> str:
        # Some providers send the name in pieces, others repeat the whole name with every piece.
        if not piece or (piece == known and known + piece not in self._tools):
            return known
        return (known + piece)[: MAX_NAME + 1]

    def _judge(self, writing: _Writing) -> Iterator[Proposal]:
        spec = self._tools.get(writing.tool)
        call, confidence = _reading(spec, writing) if spec else (None, 0.0)
        old = writing.proposed
        if old is not None and old != call:
            writing.proposed = None
            yield from self._live.retract(old, "the call was written on differently")
        if call is None or writing.proposed is not None:
            return
        writing.proposed = call
        yield from self._live.propose(
            Candidate(
                call=call,
                confidence=confidence,
                predictor=NAME,
                evidence="arguments complete" if writing.reader.closed else "every parameter complete",
            )
        )


def _reading(spec: ToolSpec, writing: _Writing) -> tuple[Call | None, float]:
    reader = writing.reader
    if reader.broken:
        return None, 0.0
    if reader.closed:
        return fitting_call(spec, reader.members), CLOSED
    if writing.finished:
        # Tools without parameters are called with no text at all by some providers.
        return (None if reader.started else fitting_call(spec, {})), CLOSED
    if spec.properties and all(name in reader.members for name in spec.properties):
        writing.early += 1
        if writing.early > MAX_EARLY:
            return None, 0.0
        return fitting_call(spec, reader.members), ALL_MEMBERS
    return None, 0.0
