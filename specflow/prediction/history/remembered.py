"""What is worked out about a conversation once, and holds until somebody speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Look:
    """Whether the user said a value just now (`user`) or ever (`everywhere`), or the `model` did. `words`
    are those of its records that somebody said, `title` what the record is called. `times` is how often the
    value had come up by then.
    """

    times: int
    user: bool
    everywhere: bool
    model: bool
    words: frozenset[str]
    title: frozenset[str]


@dataclass(slots=True, eq=False)
class WordTraits:
    """Traits of what was said last, and what they are `worth` for each name: by weights of that `version`."""

    traits: tuple[str, ...]
    version: int = 0
    worth: Mapping[str, float] = field(default_factory=dict)
