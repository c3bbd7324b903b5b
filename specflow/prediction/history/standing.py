"""Where the arguments of a call stand: in the texts, in time, among the values of their paths."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from specflow.prediction.history.called import called_as
from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.looks import NOTHING, look
from specflow.prediction.history.pool import Pooled

NEVER = 99

_new = tuple.__new__
"""Makes a named tuple in a third of the time: there are dozens in every prediction."""


class Part(NamedTuple):
    """Where an argument stands, or several: how many of them the user or the model said, how many messages
    ago they came up, their places among the unused values of their paths; what they are about; how many
    were called as their parameter is, or (`foreign`) only otherwise; and where the user's last message has a
    single one (`said_at`, -1: nowhere).
    """

    user: int
    everywhere: int
    model: int
    used: int
    newest: int
    first: int
    oldest: int
    place: int
    tail: int
    after: bool
    words: frozenset[str]
    title: frozenset[str]
    own: int
    foreign: int
    said_at: int


@dataclass(slots=True)
class _Line:
    """A path as the source of a parameter: the place of each value that the parameter has not had yet, among
    these; the values that it has had; and which came up right after the one that it had last.
    """

    places: Mapping[str, int]
    used: Mapping[str, int]
    following: str | None


class Standing:
    """Where the arguments of one tool's calls stand; what calls have in common is looked up once."""

    def __init__(self, dialogue: Dialogue, tool: str) -> None:
        self._dialogue = dialogue
        self._tool = tool
        self._parts: dict[tuple[str, str, str], Part] = {}
        self._lines: dict[tuple[str, str], _Line] = {}

    def of(self, one: Pooled) -> Part:
        """The arguments of a call, together."""
        if len(one.args) == 1:
            # There is one such call for each value, so that it is looked up once anyway.
            return self._part(*one.args[0], one.paths[0])
        parts = []
        for (name, value), path in zip(one.args, one.paths, strict=True):
            part = self._parts.get((name, value, path))
            if part is None:
                part = self._parts[name, value, path] = self._part(name, value, path)
            parts.append(part)
        return _together(parts) if parts else _NOWHERE

    def _part(self, name: str, value: str, path: str) -> Part:
        dialogue = self._dialogue
        seen, sight = look(dialogue, value), dialogue.known.get(value)
        line = self._lines.get((name, path)) or self._line(name, path)
        newest, oldest, first, own, foreign = NEVER, 0, NEVER, False, False
        if sight is not None:
            newest = oldest = dialogue.step - sight.last
            first = dialogue.step - sight.first
            own, foreign = called_as(sight.called, name)
        at = line.places.get(value)
        place, tail = (0, 0) if at is None else (at, len(line.places) - 1 - at)
        its = (
            seen.user,
            seen.everywhere,
            seen.model,
            value in line.used,
            newest,
            first,
            oldest,
            place,
            tail,
            line.following == value,
            seen.words,
            seen.title,
            own,
            foreign,
            seen.said_at,
        )
        return _new(Part, its)

    def _line(self, name: str, path: str) -> _Line:
        used = self._dialogue.used.get((self._tool, name), {})
        place = self._dialogue.at.get(path, {})
        following: str | None = None
        unused: Collection[str] = place
        if used:
            if next(reversed(used)) in place:
                values = iter(place)
                # Goes on behind the last one.
                following = next(values, None) if next(reversed(used)) in values else None
            unused = [value for value in place if value not in used]
        places = dict(zip(unused, range(len(unused)), strict=True))
        made = self._lines[name, path] = _Line(places, used, following)
        return made


_NOWHERE = Part(0, 0, 0, 0, NEVER, NEVER, 0, 0, 0, False, NOTHING, NOTHING, 0, 0, -1)


def _together(parts: Sequence[Part]) -> Part:
    """Where several arguments stand."""
    columns = zip(*parts, strict=True)
    user, everywhere, model, used, newest, first, oldest, place, tail, after, *more = columns
    words, title, own, foreign, _ = more
    its = (
        sum(user),
        sum(everywhere),
        sum(model),
        sum(used),
        min(newest),
        min(first),
        max(oldest),
        max(place),
        max(tail),
        any(after),
        NOTHING.union(*words),
        next(filter(None, reversed(title)), NOTHING),
        sum(own),
        sum(foreign),
        -1,
    )
    return _new(Part, its)
