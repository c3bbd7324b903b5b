"""The values that the messages of a conversation have brought up, and what is known about each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from specflow.effects.call import Call, NotJsonError
from specflow.prediction.clause import Cut, SentenceReader
from specflow.prediction.dating import MAX_SAID
from specflow.prediction.known import Known
from specflow.prediction.predictor import HistoryItem, PastCall
from specflow.prediction.tool_words import Slot
from specflow.prediction.values import MAX_TEXT, Value, find_values, may_hold_values
from specflow.prediction.words import Token, name_stems, tokens

MAX_RESULT = 200_000
MAX_SCALARS = 2_000
MAX_KNOWN = 5_000
BATCH = 16
"""Values of a result that are taken in in one step."""
_ALIAS = re.compile(r"([A-Z][\w.'-]{1,30}(?: [A-Z][\w.'-]{1,30}){0,3}) \(([A-Z]{2,5})\)")
_CODE = re.compile(r"[A-Z]{2,5}")


Scores = dict[int, tuple[Slot, list[tuple[float, Known]]]]
"""By the identity of a parameter, itself and what the values of a conversation are worth to it."""


class Index:
    """What is known after some messages. One that goes on from another leaves that one as it is.

    `aliases` are codes by the names that stand for them, in lower case; `made` the fingerprints of the calls
    that have been answered; `year` and `today` those of `Calendar`. `asked` is what the user said last.
    """

    __slots__ = (
        "_before",
        "_own_texts",
        "_points",
        "_rest",
        "_scalars",
        "aliases",
        "asked",
        "known",
        "made",
        "message",
        "order",
        "scores",
        "today",
        "year",
    )

    def __init__(self, year: int | None, today: str, before: Index | None = None) -> None:
        self.year = year
        self.today = today
        self.known: dict[str, Known] = dict(before.known) if before else {}
        self.aliases: dict[str, str] = dict(before.aliases) if before else {}
        self.made: set[str] = set(before.made) if before else set()
        self.scores: Scores = {}
        self._points: dict[int, tuple[Slot, Mapping[str, str], dict[str, tuple[int, float]]]] = {}
        self._before: tuple[Scores, Mapping[str, str]] = (
            (before.scores, before.aliases) if before else ({}, {})
        )
        self._own_texts: list[str] = []
        self.asked: list[str] = list(before.asked) if before else []
        self.order: int = before.order if before else 0
        self.message: int = before.message if before else 0
        self._scalars = 0
        self._rest = BATCH

    def next_message(self) -> None:
        """Another message begins."""
        self.message += 1

    def forget_user(self) -> None:
        """What the user said last is not the last any more."""
        for text in self.asked:
            self._own(self.known[text]).last_user = False
        self.asked.clear()

    def scored(
        self, slot: Slot, least: float, score: Callable[[Known], float], *, keep: bool
    ) -> list[tuple[float, Known]]:
        """Every value to which `score` gives at least `least` points, in no order.

        `keep`: this index does not change any more, so that it is worked out but once. The scores that the
        index before this one has kept hold for all values that are as they were.
        """
        done = self.scores.get(id(slot))
        if done is not None and done[0] is slot:
            return done[1]
        scores, aliases = self._before
        done = scores.get(id(slot))
        fresh: Iterable[Known] = self.known.values()
        found: list[tuple[float, Known]] = []
        if done is not None and done[0] is slot and aliases == self.aliases:
            fresh = [self.known[text] for text in self._own_texts]
            found = [one for one in done[1] if self.known[one[1].text] is one[1]]
        if keep:
            found.extend((points, known) for known in fresh if (points := score(known)) >= least)
            self.scores[id(slot)] = slot, found
            return found
        rated = self._rated(slot)
        for known in fresh:
            # Whatever is learned about a value gives it another `order`.
            order, points = rated.get(known.text, (-1, 0.0))
            if order != known.order:
                points = score(known)
                rated[known.text] = known.order, points
            if points >= least:
                found.append((points, known))
        return found

    def _rated(self, slot: Slot) -> dict[str, tuple[int, float]]:
        """What the values were worth to the parameter when it was last asked, and their `order` then."""
        before = self._points.get(id(slot))
        if before is None or before[0] is not slot or before[1] != self.aliases:
            before = self._points[id(slot)] = slot, dict(self.aliases), {}
        return before[2]

    def take(self, item: HistoryItem, *, last_user: bool) -> Iterator[None]:
        """Take in a message, in steps of a sentence or some values; `last_user`: the user's last one."""
        self.next_message()
        if item.call is not None:
            yield from self._call(item.call)
        elif item.text:
            yield from self._text(item.text[:MAX_SAID], last_user=last_user)

    def sentence(
        self,
        text: str,
        words: Sequence[Token] = (),
        values: Sequence[Value] | None = None,
        *,
        this_turn: bool = False,
        last_user: bool = False,
    ) -> None:
        """Take in a sentence, with its tokens and values when these are known already."""
        if "(" in text:
            self._name_codes(text)
        if values is None:
            if not may_hold_values(text, today=self.today):
                return
            values = find_values(words or tokens(text), year=self.year, today=self.today)
        for value in values:
            known = self._see(value.text)
            if known is None:
                return
            _describe(known, value)
            known.said = True
            known.this_turn = known.this_turn or this_turn
            if last_user and not known.last_user:
                known.last_user = True
                self.asked.append(known.text)

    def _text(self, text: str, *, last_user: bool) -> Iterator[None]:
        self._name_codes(text)
        reader = SentenceReader()
        for sentence in (*reader.feed(text), *reader.end()):
            if sentence.cut is not Cut.EARLY:
                self.sentence(sentence.text, last_user=last_user)
                yield

    def _name_codes(self, text: str) -> None:
        for match in _ALIAS.finditer(text):
            self.aliases[match[1].lower()] = match[2]

    def _own(self, known: Known) -> Known:
        if known.owner is not self:
            self._own_texts.append(known.text)
            known = self.known[known.text] = known.copy(self)
        return known

    def _see(self, text: str, data: str | float | bool | None = None) -> Known | None:
        self.order += 1
        known = self.known.get(text)
        if known is None:
            if len(self.known) >= MAX_KNOWN:
                return None
            self._own_texts.append(text)
            known = self.known[text] = Known(
                text=text, data=text if data is None else data, owner=self, born=self.order
            )
        else:
            known = self._own(known)
        known.order = self.order
        known.message = self.message
        return known

    def _call(self, call: PastCall) -> Iterator[None]:
        if not call.failed:
            try:
                self.made.add(Call(tool=call.tool, args=call.args).fingerprint)
            except NotJsonError:
                return
        for name, value in _scalars_of(call.args):
            known = self._see(str(value), value)
            if known is not None:
                known.keys.add(name)
                known.used_as.add(name)
                known.used_by.add((call.tool, name))
                known.said = True
        yield from self._result(call.result)

    def _result(self, text: str) -> Iterator[None]:
        if len(text) > MAX_RESULT:
            text = ""
        self._scalars, self._rest = 0, BATCH
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict | list):
            yield from self._walk("", data, depth=0)
            return
        for value in find_values(tokens(text[:2_000]), year=self.year):
            known = self._see(value.text)
            if known is not None:
                _describe(known, value)

    def _walk(self, key: str, data: Any, *, depth: int) -> Iterator[None]:
        if depth > 12 or self._scalars > MAX_SCALARS:
            return
        if isinstance(data, dict):
            yield from self._object(key, data, depth=depth)
        elif isinstance(data, list):
            for value in data[:200]:
                if isinstance(value, dict | list):
                    yield from self._walk(key, value, depth=depth + 1)
                else:
                    self._scalar(key, value, None)
        if self._scalars >= self._rest:
            self._rest = self._scalars + BATCH
            yield

    def _object(self, key: str, data: Mapping[str, Any], *, depth: int) -> Iterator[None]:
        if len(data) > 2 and all(isinstance(v, str) and _CODE.fullmatch(k) for k, v in data.items()):
            self.aliases.update({value.lower(): name for name, value in data.items()})
        for name, value in data.items():
            if _has_digit(name):
                self._scalar(key, name, data)  # an object keyed by identifiers
                yield from self._walk(key, value, depth=depth + 1)
            elif isinstance(value, dict | list):
                yield from self._walk(name, value, depth=depth + 1)
            else:
                self._scalar(name, value, data)

    def _scalar(self, key: str, value: Any, record: Mapping[str, Any] | None) -> None:
        self._scalars += 1
        if value is None or (isinstance(value, str) and not 0 < len(value) <= MAX_TEXT):
            return
        known = self._see(str(value), value)
        if known is None:
            return
        known.keys.add(key.lower())
        known.cues |= name_stems(key)
        if record is not None and len(known.records) < 4:
            known.records.append(record)


def _describe(known: Known, value: Value) -> None:
    cues = value.cues
    known.cues |= cues.near
    if cues.after:
        known.cues.add(cues.after)
    if cues.key:
        known.keys.add(cues.key)
    if cues.role:
        known.roles.add(cues.role)
    known.kinds.add(value.kind)


@lru_cache(maxsize=4096)
def _has_digit(name: str) -> bool:
    return any(map(str.isdigit, name))


def _scalars_of(args: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in args.items():
        for item in value[:20] if isinstance(value, list) else [value]:
            if isinstance(item, str | int | float) and len(str(item)) <= MAX_TEXT:
                yield name.lower(), item
