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

from specflow.graph.draft.size import characters_of
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
    """What is shown together or not at all: a message, with the results of its calls."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    results: list[ToolMessage] = field(default_factory=list)
    user: bool = False

    @property
    def messages(self) -> list[BaseMessage]:
        if self.user:
            return [HumanMessage(self.text or NO_TEXT)]
        if not self.text and not self.calls:
            return []
        return [AIMessage(self.text, tool_calls=self.calls), *self.results]


def rebuilt(system: str, history: Sequence[HistoryItem], *, most: int) -> Sequence[BaseMessage]:
    """`system` and the agent's own instructions as one message, then the conversation.

    Of a conversation of more than `most` characters the end is shown, from a message that may stand first;
    of one text the first quarter of `most`, of the instructions as much as `most`. Empty: there is nothing
    to go on from, or the last message with its results is longer than that.
    """
    first = next((number for number, item in enumerate(history) if item.role != "system"), len(history))
    own = "\n\n".join(shortened(item, most).text for item in history[:first])[:most]
    pieces = [piece.messages for piece in _pieces(history[first:], longest=most // ONE_PIECE)]
    pieces = [piece for piece in pieces if piece]
    sizes = [sum(map(characters_of, piece)) for piece in pieces]
    shown = pieces[first_shown(sizes, most) :] or (pieces[-1:] if sizes and sizes[-1] <= most else [])
    if not shown:
        return []
    opening = [] if isinstance(shown[0][0], HumanMessage) else [HumanMessage(BEFORE)]
    said = SystemMessage("\n\n".join(filter(None, [system, sound_text(own)])))
    return [said, *opening, *(message for piece in shown for message in piece)]


def _pieces(history: Sequence[HistoryItem], *, longest: int) -> Iterator[_Piece]:
    last: _Piece | None = None
    number = 0
    for whole in history:
        item = shortened(whole, longest)
        call = item.call
        if call is not None and NAME.fullmatch(call.tool):
            if last is None:
                last = _Piece()
            one = f"call{number % IDS:05}"
            last.calls.append(ToolCall(name=call.tool, args=sound_args(call.args), id=one))
            text, status = sound_text(item.text), "error" if call.failed else "success"
            last.results.append(ToolMessage(text, tool_call_id=one, name=call.tool, status=status))
            number += 1
            continue
        if last is not None:
            yield last
            last = None
        if item.role == "assistant":
            last = _Piece(text=sound_text(item.text))
        elif call is None and item.role == "user":
            yield _Piece(text=sound_text(item.text), user=True)
        else:
            # A call of a name that cannot be sent, a later word of the system: as a line of text.
            yield _Piece(text=line_of(item), user=True)
    if last is not None:
        yield last
