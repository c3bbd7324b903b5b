"""What one artefact says about a tool's effect."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Says(StrEnum):
    """`unsure` vetoes a read as `write` does, without claiming a write; `note` decides nothing."""

    READ = "read"
    WRITE = "write"
    UNSURE = "unsure"
    NOTE = "note"


class Artefact(StrEnum):
    """Where a statement stands. Two statements in one artefact are one signal, however often repeated."""

    NAME = "name"
    PROSE = "description"
    PARAMETERS = "parameters"
    PROTOCOL = "protocol"
    CODE = "code"
    ANNOTATION = "annotation"
    SIBLING = "sibling"


class Trap(StrEnum):
    """Patterns that have made tools look like reads, or undos look like undos, and were neither."""

    HIDDEN_CACHE = "hidden_cache"
    RANDOM_STATE = "random_state"
    CURSOR = "cursor"
    ARGUMENT_DEPENDENT = "argument_dependent"
    TOGGLE = "toggle_not_its_own_inverse"
    ALREADY_SO = "undo_assumes_it_was_not_so_before"
    SEEN_BY_OTHERS = "seen_by_others_before_the_undo"
    OLD_VALUE = "undo_needs_the_old_value"
    CASCADE = "changes_more_than_its_value"
    COARSE = "undo_takes_back_more_than_the_call_did"
    NEW_THING = "undo_makes_a_new_thing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`text` is one line for a person and may quote the tool's own words: render escapes it."""

    artefact: Artefact
    says: Says
    text: str
    trap: Trap | None = None

    @property
    def vetoes(self) -> bool:
        """Whether no other evidence can make this tool a read."""
        return self.says in {Says.WRITE, Says.UNSURE}
