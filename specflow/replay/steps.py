"""A recorded run as steps: what the model streamed and when, what it called, what the tools answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import Runner, ToolSpec
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import HistoryItem, PastCall
from specflow.testing.model_server.pace import Pace
from specflow.testing.model_server.pieces import speak
from specflow.testing.model_server.recorded import recorded_script
from specflow.traces.recorded import RecordedRun, RecordedTurn


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer of the model. `pieces` are (seconds since the step began, chunk).

    `seconds` is the model's whole time; `results` answer `calls` one to one, as text.
    """

    pieces: tuple[tuple[float, Chunk], ...]
    seconds: float
    calls: tuple[Call, ...]
    results: tuple[str, ...]
    history: tuple[HistoryItem, ...]


def tools_of(run: RecordedRun, runner: Runner) -> ToolRegistry:
    """The run's tools, all with the same body."""
    registry = ToolRegistry()
    for tool in run.tools:
        function: dict[str, Any] = tool.get("function", tool)
        registry.add(
            ToolSpec(
                name=str(function["name"]),
                description=str(function.get("description") or ""),
                parameters=function.get("parameters") or {"type": "object", "properties": {}},
                runner=runner,
            )
        )
    return registry


def steps_of(run: RecordedRun) -> Iterator[Step]:
    """The steps in order. Tokens are spread evenly over the recorded time: a record has no token times."""
    script = recorded_script(run)
    history: list[HistoryItem] = []
    asked: list[dict[str, Any]] = []
    for turn in run.turns:
        if turn.role == "assistant":
            yield _step(script.reply_to(asked), turn, tuple(history))
            asked.append({"role": "assistant"})
        history.extend(_said(turn))


def _step(reply: Any, turn: RecordedTurn, history: tuple[HistoryItem, ...]) -> Step:
    speech = speak(reply, number=0, prompt_tokens=0, inline=False)
    timing = Pace(tokens_per_second=50.0).timing(reply, speech.whole)
    pieces, said = [], 0
    for piece in speech.pieces:
        said += piece.tokens
        chunk = Chunk(
            kind=piece.kind,
            text=piece.text,
            tool=piece.name if piece.kind is ChunkKind.TOOL_CALL else "",
            index=piece.index,
        )
        pieces.append((timing.due(said), chunk))
    calls = tuple(Call(tool=call.name, args=call.args) for call in turn.calls)
    answers = [result.content for result in turn.results]
    return Step(
        pieces=tuple(pieces),
        seconds=timing.due(speech.whole),
        calls=calls,
        results=tuple(answers[place] if place < len(answers) else "" for place in range(len(calls))),
        history=history,
    )


def _said(turn: RecordedTurn) -> Iterator[HistoryItem]:
    if turn.content:
        yield HistoryItem(role=turn.role, text=turn.content)
    for place, call in enumerate(turn.calls):
        result = turn.results[place] if place < len(turn.results) else None
        text = result.content if result else ""
        past = PastCall(tool=call.name, args=call.args, result=text, failed=bool(result and result.error))
        yield HistoryItem(role="tool", text=text, call=past)
