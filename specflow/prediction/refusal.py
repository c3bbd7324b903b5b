"""Which of the announced calls a sentence says will not be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from specflow.effects.call import Call
from specflow.prediction.binding import bind_explicit
from specflow.prediction.choice import choose_tools
from specflow.prediction.guess import Heard
from specflow.prediction.proposals import LiveProposals
from specflow.prediction.stance import Intent, Stance
from specflow.prediction.triggers import Triggers
from specflow.prediction.vocabulary import Vocabulary


def refused(
    intents: Sequence[Intent],
    heard: Heard,
    vocabulary: Vocabulary,
    live: LiveProposals,
    triggers: Triggers | None = None,
) -> Iterator[Call]:
    """The calls of `live` to be taken back: of the tool that is refused, with the arguments named."""
    for intent in intents if len(live) else ():
        if intent.stance is not Stance.NEGATED:
            continue
        for choice in choose_tools(intent, heard.words, vocabulary, triggers)[:1]:
            named = bind_explicit(
                choice.tool, heard.values, heard.words, heard.talk, first=intent.first, last=intent.last
            )[0].args
            for call in live.calls:
                if call.tool == choice.tool.spec.name and _agrees(call.args, named):
                    yield call


def _agrees(args: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    return all(args.get(name) == value for name, value in named.items())
