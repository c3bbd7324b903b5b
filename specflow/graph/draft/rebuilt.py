"""The conversation rebuilt as messages for a chat model, always the same for the same conversation.

A message of the agent stands together with the results of its calls. What is said later adds messages; only
results that belong to the last message of the agent are added to that one. Ids tell the position of a call,
in nine letters and digits, which every provider takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from specflow.graph.draft.size import size_of
from specflow.prediction.predictor import HistoryItem
from specflow.prediction.transcript import first_shown, line_of, shortened, sound_args, sound_text

BEFORE = "(What was said before this is not shown.)"
"""Stands at the beginning where no user speaks first, as some providers demand."""

NO_TEXT = "(no text)"
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""A name that every provider takes for that of a tool."""

ONE_PIECE = 4
"""No text has more than this part of the characters that are shown."""

IDS = 100_000


@dataclass(slots=True)
class _Piece:
    """What is shown together or not at all: a message, with the results of the agent's calls in it.

    `said` None: the agent said nothing. Results have the number of their call in the conversation.
    """

    said: HistoryItem | None = None
    results: list[tuple[int, HistoryItem]] = field(default_factory=list)
    user: bool = False

    @property
    def empty(self) -> bool:
        return not self.user and not self.results and not (self.said is not None and self.said.text)

    def size(self, longest: int) -> int:
        """About how many characters it has when it is shown; so that what is cut off need not be written."""
        calls = [item.call for _, item in self.results if item.call is not None]
        texts = [len(item.text) for _, item in self.results]
        texts += [len(call.tool) + size_of(call.args) for call in calls]
        if self.said is not None:
            texts.append(len(self.said.text))
            if self.said.call is not None:
                texts.append(size_of(self.said.call.args))
        return sum(min(text, longest) for text in texts)

    def messages(self, longest: int) -> list[BaseMessage]:
        said = None if self.said is None else shortened(self.said, longest)
        if said is not None and self.user:
            # A call of a name that cannot be sent, a later word of the system: as a line of text.
            text = sound_text(said.text) if said.role == "user" and said.call is None else line_of(said)
            return [HumanMessage(text or NO_TEXT)]
        results = [(f"call{number % IDS:05}", shortened(item, longest)) for number, item in self.results]
        calls = [
            ToolCall(name=item.call.tool, args=sound_args(item.call.args), id=one)
            for one, item in results
            if item.call is not None
        ]
        text = "" if said is None else sound_text(said.text)
        return [AIMessage(text, tool_calls=calls), *(_result(one, item) for one, item in results)]


def rebuilt(system: str, history: Sequence[HistoryItem], *, most: int) -> Sequence[BaseMessage]:
    """`system` and the agent's own instructions as one message, then the conversation.

    Of a conversation of more than `most` characters the end is shown, from a message that may stand first;
    of one text the first quarter of `most`, of the instructions as much as `most`. Empty: there is nothing
    to go on from, or the last message with its results is longer than that.
    """
    first = next((number for number, item in enumerate(history) if item.role != "system"), len(history))
    own = "\n\n".join(shortened(item, most).text for item in history[:first])[:most]
    longest = most // ONE_PIECE
    pieces = [piece for piece in _pieces(history[first:]) if not piece.empty]
    sizes = [piece.size(longest) for piece in pieces]
    shown = pieces[first_shown(sizes, most) :] or (pieces[-1:] if sizes and sizes[-1] <= most else [])
    if not shown:
        return []
    said = SystemMessage("\n\n".join(filter(None, [system, sound_text(own)])))
    opening = [] if shown[0].user else [HumanMessage(BEFORE)]
    return [said, *opening, *(message for piece in shown for message in piece.messages(longest))]


def _pieces(history: Sequence[HistoryItem]) -> Iterator[_Piece]:
    last: _Piece | None = None
    number = 0
    for item in history:
        if item.call is not None and NAME.fullmatch(item.call.tool):
            last = last or _Piece()
            last.results.append((number, item))
            number += 1
            continue
        if last is not None:
            yield last
        last = _Piece(said=item) if item.role == "assistant" and item.call is None else None
        if last is None:
            yield _Piece(said=item, user=True)
    if last is not None:
        yield last


def _result(one: str, item: HistoryItem) -> ToolMessage:
    assert item.call is not None
    status = "error" if item.call.failed else "success"
    return ToolMessage(sound_text(item.text), tool_call_id=one, name=item.call.tool, status=status)
