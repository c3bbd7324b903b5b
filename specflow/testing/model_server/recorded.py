"""A recorded run as a script: the model says it again, at its pace, and checks what it hears."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from specflow.testing.model_server.compare import compare
from specflow.testing.model_server.pace import Pace
from specflow.testing.model_server.reply import CallPlan, HttpShape, Reply, Usage
from specflow.testing.model_server.script import Messages, ReplyList, replies_given
from specflow.traces.recorded import RecordedRun, RecordedTurn

DEFAULT_PACE = 50.0
"""Tokens a second where the record does not say how long the model took."""


class RecordedScript:
    """See `recorded_script`."""

    def __init__(self, run: RecordedRun, *, speed: float | None, reasoning_as: HttpShape | None) -> None:
        self.run = run
        # Checks the speed, and turns it into a factor for the recorded times.
        self._factor = 1 / (Pace(speed=speed).speed or float("inf"))
        self._shape = reasoning_as
        answers = run.answers
        self._replies = ReplyList([self._reply(number, turn) for number, turn in enumerate(answers)])
        self._thoughts = {number: turn.reasoning for number, turn in enumerate(answers) if turn.reasoning}

    def reply_to(self, messages: Messages) -> Reply:
        return self._replies.reply_to(messages)

    def differences(self, messages: Messages) -> Sequence[str]:
        return compare(messages, self.run, replies_given(messages), thoughts=self._thoughts)

    def _reply(self, number: int, turn: RecordedTurn) -> Reply:
        seconds = turn.gen_s
        if seconds is None and turn.completion_tokens:
            seconds = turn.completion_tokens / DEFAULT_PACE
        return Reply(
            reasoning=turn.reasoning,
            text=turn.content,
            calls=_calls(number, turn),
            reasoning_as=self._shape,
            usage=Usage(completion_tokens=turn.completion_tokens),
            first_token=0.0,
            seconds=None if seconds is None else seconds * self._factor,
            pace=DEFAULT_PACE / self._factor if self._factor else float("inf"),
        )


def _calls(number: int, turn: RecordedTurn) -> tuple[CallPlan, ...]:
    seen: Counter[str] = Counter()
    plans = []
    for position, call in enumerate(turn.calls):
        # An id that repeats within one message could not be answered.
        identity = call.id if call.id and not seen[call.id] else f"call_{number}_{position}"
        seen[call.id] += 1
        plans.append(CallPlan(call.name, call.args, id=identity))
    return tuple(plans)


def recorded_script(
    run: RecordedRun, *, speed: float | None = 1.0, reasoning_as: HttpShape | None = None
) -> RecordedScript:
    """A script that says what the model of `run` said, and compares every request with the record.

    Answer k of the record goes to the request with k assistant messages, so a first message of the
    assistant (a greeting) may be asked for or be put into the conversation by the client.

    Times: the recorded seconds, over which the tokens are spread evenly (a record holds no time of
    single tokens); where they are missing, 50 tokens a second over the recorded count of tokens, or
    over the tokens of the text. `speed` divides them; None is without waiting.

    Raises:
        ConfigurationError: for a speed that means nothing.
    """
    return RecordedScript(run, speed=speed, reasoning_as=reasoning_as)
