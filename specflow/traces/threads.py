"""Requests to a model, put together into conversations: each answer counted once, with what came before it.

Every request repeats the conversation so far. A request goes on from the conversation whose messages are the
longest beginning of its own; where there is none (a sub-agent, a retry, a history that was cut) a new
one begins, and the answers that it brought along are `given`: history, and no step.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.traces.said import Asked, ModelCall, Said

OPEN = 512
"""So many conversations of one group are kept open; the one that has rested longest makes room."""

_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
Turn = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Thread:
    """A conversation so far. `turns` are as a recorded run has them; `began` and `ended` (ns) are those of
    each turn that was answered here.
    """

    place: str
    model: str = ""
    turns: list[Turn] = field(default_factory=list)
    times: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)
    tools: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    stray: int = 0
    """Results that answer no call that is there."""
    blind: set[int] = field(default_factory=set)
    """The turns of which nothing but their time is known."""
    state: str = ""

    def add(self, said: Said, *, given: bool) -> None:
        """Put a message behind the others."""
        if said.role == "tool":
            self._answer(said)
            return
        turn: Turn = {"role": said.role, "content": said.text}
        if said.role == "assistant":
            if said.reasoning:
                turn["reasoning"] = said.reasoning
            if said.calls:
                turn["tool_calls"] = _calls(said.calls, len(self.turns))
                turn["tool_results"] = []
            if given:
                turn["given"] = True
        self.turns.append(turn)

    def know(self, tools: Iterable[Mapping[str, Any]]) -> None:
        """The tools the model was given; one that is described in two ways keeps the first."""
        for tool in tools:
            if self.tools.setdefault(tool["name"], tool) != tool:
                self.changed.add(tool["name"])

    def _answer(self, said: Said) -> None:
        for turn in reversed(self.turns):
            answered = {result["id"] for result in turn.get("tool_results", ())}
            for call in turn.get("tool_calls", ()):
                fits = said.tool in {"", call["name"]}
                if said.call_id and call["said"]:
                    fits = call["said"].strip() == said.call_id.strip()
                if fits and call["id"] not in answered:
                    result = {"id": call["id"], "content": said.text, "error": said.error}
                    turn["tool_results"].append(result)
                    return
        self.stray += 1


class Threads:
    """The conversations of one group of requests."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Thread] = OrderedDict()
        self._closed: list[Thread] = []

    def add(self, call: ModelCall, *, place: str) -> Thread:
        """Let a request and its answer go on from the conversation they belong to."""
        states = list(_states(call.heard))
        thread, known = self._thread(call, states)
        if thread is None:
            thread, known = Thread(place=place), 0
        for said in call.heard[known:]:
            thread.add(said, given=said.role == "assistant")
        thread.know(call.tools)
        thread.model = thread.model or call.model
        answer = call.answer or Said(role="assistant")
        thread.add(answer, given=False)
        at = len(thread.turns) - 1
        thread.times[at] = (call.began, call.ended)
        if not call.content:
            thread.blind.add(at)
        if call.tokens is not None:
            thread.turns[at]["completion_tokens"] = call.tokens
        before = states[-1] if states else thread.state
        thread.state = _state(before, answer)
        while thread.state in self._open:  # the same words twice (a retry): both stay open
            thread.state += "+"
        self._open[thread.state] = thread
        if len(self._open) > OPEN:
            self._closed.append(self._open.popitem(last=False)[1])
        return thread

    def _thread(self, call: ModelCall, states: list[str]) -> tuple[Thread | None, int]:
        for known in range(len(states), 0, -1):
            state = states[known - 1]
            found = self._open.pop(state, None) if state else None
            if found is not None:
                return found, known
        if not states and self._open:
            # What the model heard was not recorded: it goes on from what was last said.
            return self._open.popitem(last=True)[1], 0
        return None, 0

    def drain(self) -> Iterator[Thread]:
        """The conversations that were closed to make room."""
        while self._closed:
            yield self._closed.pop(0)

    def __iter__(self) -> Iterator[Thread]:
        yield from self.drain()
        yield from self._open.values()


def _states(heard: Iterable[Said]) -> Iterator[str]:
    """For each beginning of what was heard a name of its own. The system's messages change with the time of
    day and do not tell conversations apart.
    """
    state = ""
    for said in heard:
        if said.role != "system":
            state = _state(state, said)
        yield state


def _state(before: str, said: Said) -> str:
    words: list[object] = [before, said.role]
    if said.role == "assistant" and said.calls:
        # Clients drop what was thought and said beside a call, and write its arguments anew.
        words += [[call.name, call.id or call.args] for call in said.calls]
    elif said.role == "assistant":
        words.append(_THOUGHT.sub("", said.text).strip())
    else:
        words += [said.call_id, said.text.strip()]
    text = json.dumps(words, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _calls(calls: tuple[Asked, ...], turn: int) -> list[dict[str, Any]]:
    """The calls of a turn. Ids become unique where they are not, since results are found by them; `said` is
    the id in the record.
    """
    ids = [call.id for call in calls]
    unique = all(ids) and len(set(ids)) == len(ids)
    return [
        {
            "id": call.id if unique else f"call_{turn}_{number}",
            "name": call.name,
            "args": dict(call.args),
            "said": call.id,
        }
        for number, call in enumerate(calls)
    ]
