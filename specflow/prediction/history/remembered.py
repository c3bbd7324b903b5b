"""What is worked out about a conversation once, and holds until somebody speaks.

Made by the dozen for every prediction, and never changed: to have that enforced, a dataclass that is frozen
takes five times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Look:
    """Whether the user said a value just now (`user`) or ever (`everywhere`), or the `model` did. `words`
    are those of its records that somebody said, `title` what the record is called; `said_at` where the user's
    last message has it (-1: nowhere). `users` is how many messages of the user there were by then.
    """

    users: int
    user: bool
    everywhere: bool
    model: bool
    words: frozenset[str]
    title: frozenset[str]
    said_at: int = -1


@dataclass(slots=True, eq=False)
class WordTraits:
    """Traits of what was said last, and what they are `worth` for each name: by weights of that `version`.
    `numbers` are those that `numbered_by` gave them.
    """

    traits: tuple[str, ...]
    numbers: Sequence[int] = ()
    numbered_by: object = None
    version: int = 0
    worth: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """Arguments that stood in one record, sorted by name, and their values alone: how many of them the user
    said just now (and one), and which of the records, counted from the oldest, it is.
    """

    said: float
    turn: int
    args: tuple[tuple[str, str], ...]
    values: tuple[str, ...]


@dataclass(slots=True)
class Rows:
    """All of them for some paths, in their order and by their arguments, when `arrived` records had come and
    so many texts had been `spoken`.
    """

    arrived: int = 0
    spoken: int = 0
    ordered: list[Row] = field(default_factory=list)
    by_args: dict[tuple[tuple[str, str], ...], Row] = field(default_factory=dict)

    def copy(self) -> Rows:
        """Another one, to which others may be added."""
        return Rows(self.arrived, self.spoken, list(self.ordered), dict(self.by_args))
