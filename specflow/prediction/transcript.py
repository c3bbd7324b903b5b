"""The conversation as a model that guesses is shown it: a line each, and of a long one the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from specflow.effects.call import NotJsonError, canonical_json
from specflow.prediction.predictor import HistoryItem


def transcript(history: Sequence[HistoryItem], *, most: int) -> Sequence[str]:
    """A line of canonical JSON for each message, and for each call with its result.

    Of more than `most` characters the end is shown, see `first_shown`.
    """
    lines = [line_of(item) for item in history]
    return lines[first_shown([len(line) for line in lines], most) :]


def line_of(item: HistoryItem) -> str:
    """The line of one message, or of one call with its result."""
    if item.call is None:
        return canonical_json({"role": item.role, "text": sound_text(item.text)})
    past = item.call
    call = {"tool": sound_text(past.tool), "args": sound_args(past.args)}
    said = {"call": call, "result": sound_text(past.result)}
    return canonical_json({**said, "failed": True} if past.failed else said)


def first_shown(sizes: Sequence[int], most: int) -> int:
    """From which piece on a conversation of pieces of these sizes is shown, in at most `most` characters.

    It is cut in great steps, so that its beginning stays the same for long, as caches of prompts want it.
    """
    starts = list(accumulate(sizes, initial=0))
    step = max(1, most // 2)
    # The fewest whole steps from the beginning that leave at most `most` characters.
    cut = -(-max(0, starts[-1] - most) // step) * step
    return next((number for number, start in enumerate(starts) if start >= cut), len(sizes))


def shortened(item: HistoryItem, longest: int) -> HistoryItem:
    """The item with the beginning of what is longer than `longest` characters; the rest is counted."""
    call = item.call
    if call is not None:
        call = replace(call, args=_short_args(call.args, longest), result=_short(call.result, longest))
    return replace(item, text=_short(item.text, longest), call=call)


def sound_text(text: str) -> str:
    """The text without lone surrogates, which nobody can be sent."""
    return text.encode("utf-8", "replace").decode("utf-8")


def sound_args(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in canonical order; none where they are no JSON."""
    try:
        sound: dict[str, Any] = json.loads(canonical_json(args))
    except NotJsonError:
        return {}
    return sound


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more characters)"


def _short_args(args: dict[str, Any], longest: int) -> dict[str, Any]:
    size = len(canonical_json(sound := sound_args(args)))
    return sound if size <= longest else {"...": f"{size} characters that are not shown"}
