"""The same run with the words of its answers in another order: what is left of reading when order is gone."""

from __future__ import annotations

import random
import re

from specflow.effects.call import digest
from specflow.traces.recorded import RecordedRun, RecordedTurn


def shuffled(run: RecordedRun, seed: int) -> RecordedRun:
    """The run with the words of each answer's reasoning and text shuffled; spaces and calls stay in place.

    The same run and seed give the same order, whatever else is shuffled.
    """
    turns = tuple(_turn(turn, seed, number) for number, turn in enumerate(run.turns))
    return run.model_copy(update={"turns": turns})


def _turn(turn: RecordedTurn, seed: int, number: int) -> RecordedTurn:
    if turn.role != "assistant":
        return turn
    changed = {
        part: _words(getattr(turn, part), f"{seed}/{number}/{part}") for part in ("reasoning", "content")
    }
    return turn.model_copy(update=changed)


def _words(text: str, seed: str) -> str:
    pieces = re.split(r"(\s+)", text)
    words = pieces[::2]
    chance = random.Random(int(digest("shuffle", seed, text)[:16], 16))  # noqa: S311 - an order, no secret
    chance.shuffle(words)
    pieces[::2] = words
    return "".join(pieces)
