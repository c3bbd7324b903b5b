"""Why a speculation was started and never adopted: one word for each, the same in replays and live traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from specflow.effects.call import Call, NotJsonError
from specflow.prediction.predictor import HistoryItem


class Misfire(StrEnum):
    """What was wrong with an early call that nobody adopted. Each has exactly one.

    WRONG_TOOL: the message asked for no call of this tool. WRONG_ARGUMENT: for one with other arguments.
    STALE: a write, the time or a new version had overtaken it. TOO_EARLY: the very call was made, but later
    than the early one lived: in a later step, or although its predictor had taken it back. NEGATED: its
    predictor took it back, and the message asked for no call of the tool. DUPLICATE: the conversation held
    its answer already. UNPOLICIED: the message asked for it, and it was not made, because the policy or a
    person would not have it. FAILED: its early run raised, lost its race, or had to make room. UNDECIDED: no
    message came that could have asked for it.
    """

    WRONG_TOOL = "wrong_tool"
    WRONG_ARGUMENT = "wrong_argument"
    STALE = "stale"
    TOO_EARLY = "too_early"
    NEGATED = "negated"
    DUPLICATE = "duplicate"
    UNPOLICIED = "unpolicied"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a message of the model asks for: the tools, and the keys under which its calls are looked up."""

    tools: frozenset[str]
    keys: frozenset[str]


def message_of(calls: Iterable[Call], keys: Iterable[str]) -> Message:
    """The message that asks for these calls."""
    return Message(tools=frozenset(call.tool for call in calls), keys=frozenset(keys))


OVERTAKEN = frozenset({"stale", "elsewhere"})
"""The causes of an end by freshness: a write was met, or another process has had the conversation."""

RETRACTED = "retracted"
"""How the cause of an end begins where the predictor has taken the guess back."""

PUSHED_ASIDE = frozenset(
    {
        *("failed", "raced", "preempted", "budget", "cancelled", "conflict", "preparing", "not patched"),
        *("decided otherwise", "claimed", "on_record", "too_late", "stuck", "no_version", "threads"),
        *("diverged", "lost_ground"),
    }
)
"""Causes that end early work for its own sake, whether or not the guess was right."""


def misfire_of(
    cause: str, call: Call, key: str, message: Message | None, history: Sequence[HistoryItem]
) -> Misfire:
    """The class of one that ended unadopted with that cause, as far as it is known at its end.

    `key` is that under which the call is looked up, `message` the newest one of its agent since it was
    started (None: it has not come), `history` the conversation before that. That the call came later after
    all is told by `Hindsight`.
    """
    word = cause.partition(";")[0].partition(":")[0].strip()
    if word in OVERTAKEN:
        return Misfire.STALE
    if word == RETRACTED:
        # The model's mind may have been about the arguments only.
        amended = message is not None and call.tool in message.tools and key not in message.keys
        return Misfire.WRONG_ARGUMENT if amended else Misfire.NEGATED
    aside = word in PUSHED_ASIDE
    if message is None:
        return Misfire.FAILED if aside else Misfire.UNDECIDED
    if key in message.keys:
        return Misfire.FAILED if aside else Misfire.UNPOLICIED
    if answered_in(call, history):
        return Misfire.DUPLICATE
    return Misfire.WRONG_ARGUMENT if call.tool in message.tools else Misfire.WRONG_TOOL


def answered_in(call: Call, history: Sequence[HistoryItem]) -> bool:
    """Whether the conversation holds an answer to this very call."""
    for item in history:
        past = item.call
        if past is None or past.tool != call.tool or past.failed:
            continue
        try:
            if Call(tool=past.tool, args=past.args) == call:
                return True
        except NotJsonError:
            continue  # what no fingerprint can be made of is no call of ours
    return False
