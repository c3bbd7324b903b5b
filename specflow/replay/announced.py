"""In which words recorded runs announced their calls, as lessons for the sniffer."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.prediction.shelf import Shelf
from specflow.prediction.sniffer import SnifferListener
from specflow.prediction.trigger_lessons import TurnLesson, words_of
from specflow.prediction.triggers import REPLY, Triggers
from specflow.prediction.vocabulary import Vocabulary
from specflow.replay.lessons import not_run
from specflow.replay.steps import steps_of, tools_of
from specflow.speculation.turn import result_item
from specflow.traces.recorded import RecordedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """In a `conversation` (any number of it) these phrases came before a call of `tool`, or `REPLY`."""

    phrases: tuple[str, ...]
    tool: str
    conversation: int


def announced(run: RecordedRun, *, place: str) -> Iterator[Announced]:
    """What was said before each step of the run; runs of one task count as one conversation.

    Raises:
        RecordingError: saying at `place` what in the record cannot be used.
    """
    steps = list(steps_of(run, place=place))
    tools = tools_of(run, not_run, place=place)
    vocabulary, shelf = Vocabulary(tools), Shelf()
    history: list[HistoryItem] = []
    for step in steps[-1:]:
        history.extend(step.history)
        history.extend(result_item(call, text) for call, text in zip(step.calls, step.results, strict=True))
    values = set(words_of(history))
    conversation = hash(run.task_id or place)
    for step in steps:
        lesson = TurnLesson(conversation, values=values)
        context = TurnContext(tools=tools, history=step.history)
        ear = SnifferListener(context, vocabulary, min_confidence=0.0, shelf=shelf, lesson=lesson)
        for _, chunk in step.pieces:
            ear.hear(chunk)
        ear.end()
        tool = step.calls[0].tool if step.calls else REPLY
        yield Announced(phrases=tuple(lesson.phrases()), tool=tool, conversation=conversation)


class Announcements:
    """Those of many runs, each run read once; from them the phrases that the runs of some tasks teach."""

    def __init__(self) -> None:
        self._said: list[tuple[str, Announced]] = []

    def read(self, run: RecordedRun, *, place: str) -> None:
        """Take in a run.

        Raises:
            RecordingError: saying at `place` what in the record cannot be used.
        """
        self._said.extend((run.task_id, one) for one in announced(run, place=place))

    def without(self, tasks: Set[str] = frozenset()) -> Triggers:
        """What the runs of all other tasks teach, learned in the order in which they were read."""
        triggers = Triggers()
        for task, one in self._said:
            if task not in tasks:
                triggers.learn(one.phrases, one.tool, one.conversation)
        return triggers
