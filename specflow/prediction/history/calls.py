"""What speaks for and against each call of a tool's pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from specflow.prediction.history.dialogue import USER, Args, Dialogue
from specflow.prediction.history.keys import Key
from specflow.prediction.history.looks import NOTHING, look
from specflow.prediction.history.pool import Pooled
from specflow.prediction.history.traits import age_step, log_step, small

NEVER = 99

EMPTY = 4
"""Characters of a result that holds nothing."""


@dataclass(slots=True)
class _Fit:
    """How well what a call is about fits what was said: matched words, each counting less the more calls of
    the pool match it; the share of the title that was said; where in the user's last message it was said.
    """

    now: float = 0.0
    ever: float = 0.0
    model: float = 0.0
    title: float = 0.0
    said_at: int = NEVER


@dataclass(slots=True)
class _Part:
    """Where an argument stands, or several: in the texts, in time, among the unused values of their paths."""

    user: int = 0
    everywhere: int = 0
    model: int = 0
    newest: int = NEVER
    oldest: int = 0
    first: int = NEVER
    place: int = 0
    tail: int = 0
    after: bool = False
    used: int = 0


def of_calls(dialogue: Dialogue, tool: str, pooled: Sequence[Pooled]) -> list[list[Key]]:
    """The keys of the traits of each call of the pool, in its order."""
    if not pooled:
        return []
    parts = _Parts(dialogue, tool)
    fits = _fits(dialogue, [one.args for one in pooled])
    fresh = [(tool, one.args) not in dialogue.made for one in pooled]
    best_now, best_ever = max(fit.now for fit in fits), max(fit.ever for fit in fits)
    best_model, best_title = max(fit.model for fit in fits), max(fit.title for fit in fits)
    alone_now = sum(fit.now == best_now for fit in fits) == 1
    alone_ever = sum(fit.ever == best_ever for fit in fits) == 1
    turns = sorted({one.turn for one, new in zip(pooled, fresh, strict=True) if new and one.turn >= 0})
    mentioned = sorted({fit.said_at for fit, new in zip(fits, fresh, strict=True) if new})
    last = dialogue.events[-1]
    from_user, just = last == USER, last.rstrip("!") == tool
    total, seen_fresh, top = sum(fresh), 0, pooled[0].prior or 1.0
    total_two, total_four = small(total, 2), small(total, 4)
    previous = dialogue.calls[tool][-1] if dialogue.calls.get(tool) else None
    begun = dialogue.rounds[-2][0] if len(dialogue.rounds) > 1 and dialogue.rounds[-2] else None
    at, run = len(dialogue.rounds[-1]), dialogue.run if just else 0
    before = dialogue.rounds[-1][-1] if dialogue.rounds[-1] else None
    other = before[1] if before is not None and before[0] != tool else None
    empty = dialogue.result_size <= EMPTY
    parallel = dialogue.rounds[-2][at] if len(dialogue.rounds) > 1 and len(dialogue.rounds[-2]) > at else None
    found: list[list[Key]] = []
    for rank, (one, fit, new) in enumerate(zip(pooled, fits, fresh, strict=True)):
        args, n = one.args, len(one.args)
        where = _origin(parts, one)
        again = 0 if new else min(3, dialogue.times[tool, args])
        user, first = _share(where.user, n), age_step(where.first)
        titled = 0 if not fit.title else (2 if fit.title == 1 else 1) + (2 if fit.title == best_title else 0)
        said = small(mentioned.index(fit.said_at), 3) if new and fit.said_at < NEVER else 4
        fresh_at = 9 if not new else small(seen_fresh, 4)
        seen_fresh += new
        keys: list[Key] = [
            ("again", again, last, first, small(rank, 6)),
            ("prior", log_step(one.prior), log_step(one.prior / top)),
            ("user", user, from_user, again, first),
            ("all", user, _share(where.everywhere, n), _share(where.model, n), again),
            ("ages", age_step(where.newest), age_step(where.oldest)),
            ("place", small(where.place, 4), small(where.tail, 4), where.after, again, just),
            ("fresh", fresh_at, total_four, last),
            (
                "fits",
                _standing(fit.now, best_now, alone_now),
                _standing(fit.ever, best_ever, alone_ever),
                again > 0,
                from_user,
            ),
            ("fitm", _standing(fit.model, best_model, False), from_user),
            ("said", titled, said, small(where.place, 3), again > 0, from_user),
            ("made", one.joined, where.used, n, len(pooled) == 1),
            ("total", total_two, again, first),
            ("walk", max(-1, min(2, one.ahead)), where.after, min(3, run)),
        ]
        keys += [("via", name, path) for (name, _), path in zip(args, one.paths, strict=True)]
        if new and one.turn >= 0:
            turn = turns.index(one.turn)
            back = small(len(turns) - 1 - turn, 3)
            keys.append(("turn", small(turn, 4), small(len(turns), 4), back, just))
        if previous is not None and len(previous) == n:
            changed = sum(old != value for old, value in zip(previous, args, strict=True))
            keys.append(("changed", changed, just))
        if other is not None:
            keys.append(("alike", args == other, empty, again > 0))
        if again:
            ago = age_step(dialogue.step - dialogue.made[tool, args])
            keys.append(("ago", ago, from_user, begun == (tool, args), parallel == (tool, args), again))
        found.append(keys)
    return found


def _share(part: int, whole: int) -> int:
    return 0 if not part else 2 if part == whole else 1


def _standing(points: float, best: float, alone: bool) -> int:
    if not points:
        return 0
    return -1 if points < best else 2 if alone else 1


class _Parts:
    """Where each argument stands; what calls of the pool have in common is looked up once."""

    def __init__(self, dialogue: Dialogue, tool: str) -> None:
        self._dialogue = dialogue
        self._tool = tool
        self._known: dict[tuple[str, str, str], _Part] = {}
        self._unused: dict[tuple[str, str], dict[str, int]] = {}
        self._after: dict[tuple[str, str], str | None] = {}

    def of(self, name: str, value: str, path: str) -> _Part:
        """The argument of that name, with a value of that path."""
        found = self._known.get((name, value, path))
        if found is None:
            found = self._known[name, value, path] = self._part(name, value, path)
        return found

    def _part(self, name: str, value: str, path: str) -> _Part:
        dialogue = self._dialogue
        seen, sight, step = look(dialogue, value), dialogue.known.get(value), dialogue.step
        order = self._places(name, path)
        at = order.get(value)
        used = dialogue.used.get((self._tool, name), {})
        return _Part(
            seen.user,
            seen.everywhere,
            seen.model,
            NEVER if sight is None else step - sight.last,
            0 if sight is None else step - sight.last,
            NEVER if sight is None else step - sight.first,
            0 if at is None else at,
            0 if at is None else len(order) - 1 - at,
            bool(used) and self._follows(name, path) == value,
            value in used,
        )

    def _places(self, name: str, path: str) -> dict[str, int]:
        """The place of each value of the path that the parameter has not had yet, among these."""
        found = self._unused.get((name, path))
        if found is None:
            values = self._dialogue.unused(self._tool, name, path)
            found = self._unused[name, path] = {value: at for at, value in enumerate(values)}
        return found

    def _follows(self, name: str, path: str) -> str | None:
        """The value that came up on the path right after the one that the parameter had last."""
        if (name, path) not in self._after:
            last = next(reversed(self._dialogue.used[self._tool, name]))
            values = iter(self._dialogue.at.get(path, ()))
            # Goes on behind the last one, if it is there.
            self._after[name, path] = next(values, None) if last in values else None
        return self._after[name, path]


def _origin(parts: _Parts, one: Pooled) -> _Part:
    """Where the arguments of a call stand, together."""
    if len(one.args) == 1:
        ((name, value),), (path,) = one.args, one.paths
        return parts.of(name, value, path)
    found = _Part()
    for (name, value), path in zip(one.args, one.paths, strict=True):
        part = parts.of(name, value, path)
        found.user += part.user
        found.everywhere += part.everywhere
        found.model += part.model
        found.newest = min(found.newest, part.newest)
        found.oldest = max(found.oldest, part.oldest)
        found.first = min(found.first, part.first)
        found.place = max(found.place, part.place)
        found.tail = max(found.tail, part.tail)
        found.after |= part.after
        found.used += part.used
    return found


def _fits(dialogue: Dialogue, calls: Sequence[Args]) -> list[_Fit]:
    about: list[frozenset[str]] = []
    titles: list[frozenset[str]] = []
    for args in calls:
        words, title = NOTHING, NOTHING
        for _, value in args:
            seen = look(dialogue, value)
            words = words | seen.words if words else seen.words
            title = seen.title or title
        about.append(words)
        titles.append(title)
    shared = Counter(chain.from_iterable(about))
    everyone, at = dialogue.all_user_words, dialogue.user_places
    texts = (dialogue.user_words, everyone, dialogue.model_words)
    found = []
    for words, title in zip(about, titles, strict=True):
        # Sums of the same numbers in another order are meant to be equal.
        now, ever, model = (round(sum([1.0 / shared[word] for word in words & heard]), 6) for heard in texts)
        fit = _Fit(now, ever, model)
        if title:
            fit.title = len(title & everyone) / len(title)
            if fit.title == 1.0 and all(word in at for word in title):
                fit.said_at = min(at[word] for word in title)
        elif words:
            fit.said_at = min((at[word] for word in words if word in at and shared[word] == 1), default=NEVER)
        found.append(fit)
    return found
