"""A recorded run as steps: what the model streamed and when, what it called, what the tools answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from specflow.effects.call import Call, NotJsonError
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import Runner, ToolSpec
from specflow.errors import ConfigurationError
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import HistoryItem, PastCall
from specflow.replay.schema import recorded_tools
from specflow.testing.model_server.pace import Pace
from specflow.testing.model_server.pieces import speak
from specflow.testing.model_server.recorded import DEFAULT_PACE, recorded_script
from specflow.testing.model_server.reply import Reply
from specflow.traces.recorded import RecordedResult, RecordedRun, RecordedTurn, RecordingError

MAX_STEP = 30 * 86_400.0
"""Seconds of model time beyond which a record is taken to be broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer of the model. `pieces` are (seconds since the step began, chunk).

    `seconds` is the model's whole time; `timed` says that it was recorded (else it is made from the tokens).
    `results` answer `calls` one to one, as text; empty where the record has none. `took` are the seconds
    that their tools took, None where the record does not say.
    """

    pieces: tuple[tuple[float, Chunk], ...]
    seconds: float
    calls: tuple[Call, ...]
    results: tuple[str, ...]
    took: tuple[float | None, ...]
    history: tuple[HistoryItem, ...]
    timed: bool = True


def tools_of(run: RecordedRun, runner: Runner, *, place: str = "run") -> ToolRegistry:
    """The run's tools, all with the same body.

    Raises:
        RecordingError: for a tool without a name or with a schema that cannot be used.
    """
    return ToolRegistry(
        ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters, runner=runner)
        for tool in recorded_tools(run, place=place)
    )


def steps_of(run: RecordedRun, *, place: str = "run", spoken: RecordedRun | None = None) -> Iterator[Step]:
    """The steps in order. Tokens are spread evenly over the recorded time: a record has no token times.

    `spoken` is the run whose answers are heard, if it is another; the history is always that of `run`.

    Raises:
        RecordingError: for a turn that no model can have produced.
    """
    try:
        script = recorded_script(spoken or run)
    except (ConfigurationError, OverflowError) as error:
        raise RecordingError(f"{place}: {error}") from error
    history: list[HistoryItem] = []
    asked: list[dict[str, str]] = []
    for number, turn in enumerate(run.turns):
        if turn.role == "assistant":
            try:
                step = _step(script.reply_to(asked), turn, tuple(history))
            except (NotJsonError, ConfigurationError, OverflowError) as error:
                raise RecordingError(f"{place}: turns.{number}: {error}") from error
            if step.seconds > MAX_STEP:
                raise RecordingError(f"{place}: turns.{number}: {step.seconds:g} s is no time for one answer")
            if not turn.given:  # what was there before the record began is history, and no step
                yield step
            asked.append({"role": "assistant"})
        history.extend(_said(turn))


def _step(reply: Reply, turn: RecordedTurn, history: tuple[HistoryItem, ...]) -> Step:
    speech = speak(reply, number=0, prompt_tokens=0, inline=False)
    timing = Pace(tokens_per_second=DEFAULT_PACE).timing(reply, speech.whole)
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
    return Step(
        pieces=tuple(pieces),
        seconds=timing.due(speech.whole),
        calls=tuple(Call(tool=call.name, args=call.args) for call in turn.calls),
        results=tuple(result.content if result else "" for result in answers(turn)),
        history=history,
        timed=turn.gen_s is not None,
        took=tuple(result.seconds if result else None for result in answers(turn)),
    )


def answers(turn: RecordedTurn) -> tuple[RecordedResult | None, ...]:
    """The result of each call of a turn, None where there is none.

    By id where the ids of the turn are unambiguous (tools that run side by side answer in any order), else
    by position.
    """
    ids = [call.id for call in turn.calls]
    by_id = {result.id: result for result in turn.results}
    if (
        all(ids)
        and len(set(ids)) == len(ids)
        and len(by_id) == len(turn.results)
        and by_id.keys() <= set(ids)
    ):
        return tuple(by_id.get(identity) for identity in ids)
    missing = (None,) * max(0, len(ids) - len(turn.results))
    return (*turn.results[: len(ids)], *missing)


def _said(turn: RecordedTurn) -> Iterator[HistoryItem]:
    # As in a running graph: a message of the model is there also where it only calls.
    if turn.content or turn.role == "assistant":
        yield HistoryItem(role=turn.role, text=turn.content)
    for call, result in zip(turn.calls, answers(turn), strict=True):
        text = result.content if result else ""
        past = PastCall(tool=call.name, args=call.args, result=text, failed=bool(result and result.error))
        yield HistoryItem(role="tool", text=text, call=past)
