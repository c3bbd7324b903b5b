"""A sniffer in the manner of published work, to compare with: tool names and `name value` by pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import TurnContext

REACH = 200
"""Characters after a tool's name in which its arguments are looked for."""


class RegexSniffer:
    """Proposes a tool whose exact name the reasoning writes, once every required argument follows it by name.

    Text arguments only, once a tool and turn. Knows no paraphrase, no negation and no amendment.
    """

    name = "regex"

    def listen(self, context: TurnContext) -> RegexListener:
        return RegexListener(tuple(context.tools))


class RegexListener:
    """One turn's ear."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        self._waiting = {tool.name: tool for tool in tools}
        self._text = ""

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        if chunk.kind is not ChunkKind.REASONING or not chunk.text:
            return ()
        self._text = (self._text + chunk.text)[-2 * REACH :]
        return tuple(self._found())

    def _found(self) -> Iterator[Candidate]:
        for tool in tuple(self._waiting.values()):
            named = re.search(rf"\b{re.escape(tool.name)}\b", self._text)
            args = _arguments(tool, self._text[named.end() :][:REACH]) if named else None
            if args is not None:
                del self._waiting[tool.name]
                call = Call(tool=tool.name, args=args)
                yield Candidate(call=call, confidence=0.8, predictor=RegexSniffer.name)


def _arguments(tool: ToolSpec, text: str) -> dict[str, str] | None:
    """Every required argument, each ended by something that is not part of it; None when one is missing."""
    args: dict[str, str] = {}
    for name in sorted(tool.required):
        link = r"[\"']?\s*(?:=|:|is|as|of)?\s*[\"']?"
        value = r"([\w@-]+(?:\.[\w-]+)*)(?:[\"'\s,;)}]|\.\s)"
        found = re.search(rf"\b{re.escape(name)}{link}{value}", text)
        if found is None:
            return None
        args[name] = found.group(1)
    return args
