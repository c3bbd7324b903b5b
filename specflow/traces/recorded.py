"""Recorded runs of agents: reading them, a line at a time, with a clear word about what is broken.

A run is one JSON line: `{source, suite, model, task_id, tools, final, env, turns}`; a turn is
`{role, content, reasoning?, tool_calls?: [{id, name, args}], tool_results?: [{id, content, error, t?,
seconds?}], t?, gen_s?, completion_tokens?, given?}`. More keys are welcome and ignored. Files end in
`.jsonl` or `.jsonl.xz`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from specflow.traces.lines import MAX_FILE, MAX_LINE, RecordingError, lines_of

__all__ = [
    "MAX_FILE", "MAX_LINE", "RecordedCall", "RecordedResult", "RecordedRun", "RecordedTurn", "RecordingError",
    "first_flaw", "parse_run", "read_runs", "run_of",
]  # fmt: skip


def _text(value: object) -> object:
    return "" if value is None else value


def _named(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _list(value: object) -> object:
    return () if value is None else value


def _arguments(value: object) -> object:
    # Some recorders keep the arguments as the JSON text that travelled.
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return {} if value is None else value


Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_named)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Recorded(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class RecordedCall(_Recorded):
    """A tool call the model made. `id` may repeat within a run; positions do not."""

    id: Name = ""
    name: str = Field(min_length=1)
    args: Annotated[dict[str, Any], BeforeValidator(_arguments)] = Field(default_factory=dict)


class RecordedResult(_Recorded):
    """What a tool answered, as the model saw it. `t` (when it had) is Unix seconds; `seconds` it took."""

    id: Name = ""
    content: Text = ""
    error: Annotated[bool, BeforeValidator(bool)] = False
    t: float | None = None
    seconds: Seconds | None = None


class RecordedTurn(_Recorded):
    """One message: of the user, of the assistant with its calls and their results, or of the system.

    `gen_s` is how long the model took, in seconds, and `completion_tokens` what the provider counted;
    either may be absent. `t` is Unix seconds. `given` says that the record begins after this turn: an answer
    that was in the conversation already is history, and no step.
    """

    role: Literal["user", "assistant", "system"]
    content: Text = ""
    reasoning: Text = ""
    calls: Annotated[tuple[RecordedCall, ...], BeforeValidator(_list)] = Field(
        default=(), validation_alias="tool_calls"
    )
    results: Annotated[tuple[RecordedResult, ...], BeforeValidator(_list)] = Field(
        default=(), validation_alias="tool_results"
    )
    t: float | None = None
    gen_s: Seconds | None = None
    completion_tokens: Annotated[int, Field(ge=0)] | None = None
    given: bool = False


class RecordedRun(_Recorded):
    """One run. `number` is its line in the file, from 1; 0 when it was not read from a file.

    `tools` are OpenAI function objects; `final` and `env` are whatever the recorder wrote.
    """

    source: Text = ""
    suite: Text = ""
    model: Text = ""
    task_id: Name = ""
    trial: Name = ""
    tools: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_list)] = ()
    final: Any = None  # the recorder's own shape
    env: Any = None  # the recorder's own shape
    turns: tuple[RecordedTurn, ...]
    number: int = 0

    @property
    def answers(self) -> tuple[RecordedTurn, ...]:
        """The assistant's turns: answer k is what the model said when k assistant messages were there."""
        return tuple(turn for turn in self.turns if turn.role == "assistant")


def parse_run(line: str | bytes, *, number: int = 0, place: str = "run") -> RecordedRun:
    """The run in one line of JSON.

    Raises:
        RecordingError: saying what is wrong at `place`.
    """
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{place}: not JSON: {error}") from error
    return run_of(value, number=number, place=place)


def run_of(value: object, *, number: int = 0, place: str = "run") -> RecordedRun:
    """The run that a JSON value is.

    Raises:
        RecordingError: saying what is wrong at `place`.
    """
    if not isinstance(value, dict):
        raise RecordingError(f"{place}: a run is a JSON object, not {type(value).__name__}")
    if "turns" not in value:
        raise RecordingError(f"{place}: no 'turns': this is not a recorded run of an agent")
    try:
        return RecordedRun.model_validate({**value, "number": number})
    except (ValidationError, RecursionError) as error:
        raise RecordingError(f"{place}: {first_flaw(error)}") from error


def read_runs(
    path: str | Path, *, max_line: int = MAX_LINE, max_file: int = MAX_FILE
) -> Iterator[RecordedRun]:
    """The runs of a `.jsonl` or `.jsonl.xz` file, one at a time; empty lines are skipped.

    `max_line` and `max_file` are bytes after decompression.

    Raises:
        RecordingError: for a file that cannot be opened, or at the line that is broken or too long.
    """
    for line in lines_of(path, max_line=max_line, max_file=max_file):
        if line.flaw:
            raise RecordingError(f"{line.place}: {line.flaw}")
        yield parse_run(line.text, number=line.number, place=line.place)


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


def first_flaw(error: ValidationError | RecursionError) -> str:
    """What is wrong with a record, in one line: where, and what."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    problems = error.errors(include_url=False, include_input=False)
    where = ".".join(str(step) for step in problems[0]["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {problems[0]['msg']}{more}"
