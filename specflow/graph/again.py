"""Why a person is asked again: what their answer was bound to has changed."""

from __future__ import annotations

from enum import StrEnum


class Again(StrEnum):
    """The reason, as it is shown and as it is on record of a void approval."""

    NO_RECORD = "there is no record of what was asked"
    OTHER_CALL = "the answer was to another call"
    ANSWERED = "the question was answered before"
    USED = "the answer was used already"
    ARGUMENTS = "the arguments have changed since"
    SCHEMA = "the schema of the tool has changed since"
    POLICY = "the policy has changed since"
    SHOWN = "something else is shown now"
    LATE = "the answer came too late"


def asking(tool: str, again: str = "") -> str:
    """How a question begins."""
    return f"{tool} needs your approval once more, as {again}" if again else f"{tool} needs your approval"


def beginning(tool: str, description: str) -> str:
    """How a description of ours begins, without the rest of it, which may quote arguments."""
    every = (asking(tool, reason) for reason in Again)
    return next((start for start in every if description.startswith(f"{start} (")), asking(tool))
