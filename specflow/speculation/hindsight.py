"""What later events say about misfires: the call came after all, or the message asked for it otherwise."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from specflow.journal.event import CallEvent, EventKind
from specflow.speculation.misfire import Misfire

FINAL = frozenset({Misfire.STALE, Misfire.FAILED})
"""Classes that do not say the guess was wrong: a later call of the kind changes nothing about them."""

K = TypeVar("K")
Place = tuple[str, str]
"""A conversation, and the key of a call in it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Missed:
    """One misfire; `kind` is what is known of it so far."""

    session_id: str
    turn_id: str
    place: Place
    tool: str
    predictor: str
    group: str
    kind: Misfire


class Hindsight:
    """Follows the events of the core, in order; keeps at most `limit` misfires that may still change.

    What a session missed is final when it is at rest; with `keep` it is kept until `rest` is asked.

    Not thread-safe: its owner holds a lock, or has the events of one loop.
    """

    def __init__(self, *, limit: int | None = None, keep: bool = False) -> None:
        self._limit = limit
        self._keep = keep
        self._kept: OrderedDict[str, Missed] = OrderedDict()
        self._by_place: dict[Place, list[Missed]] = defaultdict(list)
        self._by_session: dict[str, dict[str, None]] = defaultdict(dict)
        self._taken_back: dict[str, list[Missed]] = defaultdict(list)

    def see(self, event: CallEvent) -> list[Missed]:
        """Take an event in; returns the misfires of which no more will be known."""
        if event.kind is EventKind.RESOLVED and event.misfire:
            found = self._missed(event)
            # Its session was at rest before it: nothing more will be heard of that.
            over = event.facts.get("kept") and not self._keep and event.speculation_id in self._kept
            return found + (self._over([event.speculation_id]) if over else [])
        if event.kind is EventKind.CALL_ENDED and event.outcome != "refused":
            self._made((_conversation(event), event.key))
        elif event.kind is EventKind.TURN_ENDED:
            self._asked(event)
        elif event.kind is EventKind.SETTLED and not self._keep:
            return self._over(tuple(self._by_session.get(event.session_id, ())))
        return []

    def so_far(self) -> list[Missed]:
        """Those that may still change, as they stand."""
        return list(self._kept.values())

    def rest(self) -> list[Missed]:
        """Everything that is left, with what is known of it."""
        return self._over(list(self._kept))

    def _missed(self, event: CallEvent) -> list[Missed]:
        call, candidate = event.call, event.candidate
        one = Missed(
            session_id=event.session_id,
            turn_id=event.turn_id,
            place=(_conversation(event), event.key),
            tool=call.tool if call is not None else "",
            predictor=candidate.predictor if candidate is not None else "",
            group=event.group,
            kind=Misfire(event.misfire),
        )
        self._kept[event.speculation_id] = one
        self._by_session[one.session_id][event.speculation_id] = None
        if one.kind not in FINAL:
            self._by_place[one.place].append(one)
        if one.kind is Misfire.NEGATED:
            self._taken_back[event.turn_id].append(one)
        full = self._limit is not None and len(self._kept) > self._limit
        return self._over([next(iter(self._kept))]) if full else []

    def _made(self, place: Place) -> None:
        for one in self._by_place.pop(place, ()):
            one.kind = Misfire.TOO_EARLY

    def _asked(self, event: CallEvent) -> None:
        tools = event.facts.get("asked", ())
        for one in self._taken_back.pop(event.turn_id, ()):
            if one.kind is Misfire.NEGATED and one.tool in tools:
                # Not dropped but amended: the model wanted the tool, with other arguments.
                one.kind = Misfire.WRONG_ARGUMENT

    def _over(self, idents: Iterable[str]) -> list[Missed]:
        found = []
        for ident in idents:
            one = self._kept.pop(ident)
            found.append(one)
            session = self._by_session[one.session_id]
            session.pop(ident, None)
            if not session:
                del self._by_session[one.session_id]
            _drop(self._by_place, one.place, one)
            _drop(self._taken_back, one.turn_id, one)
        return found


def _conversation(event: CallEvent) -> str:
    return event.thread or event.session_id


def _drop(index: dict[K, list[Missed]], key: K, one: Missed) -> None:
    """Nothing is left behind in an index of what is no longer kept."""
    listed = index.get(key, [])
    if one in listed:
        listed.remove(one)
    if not listed:
        index.pop(key, None)
