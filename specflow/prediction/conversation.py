"""The values that a conversation has brought up so far, and what is known about each."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call, NotJsonError
from specflow.prediction.clause import Cut, SentenceReader
from specflow.prediction.dates import iso_date
from specflow.prediction.predictor import HistoryItem
from specflow.prediction.values import MAX_TEXT, Value, ValueKind, find_values
from specflow.prediction.words import name_words, stem, tokens

MAX_ITEMS = 80
MAX_RESULT = 200_000
MAX_SAID = 20_000
MAX_SCALARS = 2_000
MAX_KNOWN = 5_000
_ISO = re.compile(r"(?<!\d)((?:19|20)\d\d)-\d\d-\d\d(?!\d)")
_ALIAS = re.compile(r"([A-Z][\w.'-]{1,30}(?: [A-Z][\w.'-]{1,30}){0,3}) \(([A-Z]{2,5})\)")
_TODAY = re.compile(r"(?:today|current (?:date|time|day)|now is)[^\n]{0,40}?(\d{4}-\d\d-\d\d)", re.IGNORECASE)
_CODE = re.compile(r"[A-Z]{2,5}")


@dataclass(slots=True)
class Known:
    """One value: the keys and words it was seen with, who brought it up, and how recently.

    `said`: by the user or the model; otherwise only a tool's result holds it. `born` and `order`
    grow with time, from when it was first and last seen. `records` are the objects it stood in.
    """

    text: str
    data: str | int | float | bool
    keys: set[str] = field(default_factory=set)
    cues: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    kinds: set[ValueKind] = field(default_factory=set)
    used_as: set[str] = field(default_factory=set)
    used_by: set[tuple[str, str]] = field(default_factory=set)
    said: bool = False
    this_turn: bool = False
    last_user: bool = False
    born: int = 0
    order: int = 0
    message: int = 0
    records: list[Mapping[str, Any]] = field(default_factory=list)


class Conversation:
    """Built once for a turn from its history, then told every sentence of the turn."""

    def __init__(self, history: Sequence[HistoryItem]) -> None:
        self.known: dict[str, Known] = {}
        self.aliases: dict[str, str] = {}
        self.made: set[str] = set()
        self.year: int | None = None
        self.today = ""
        self._order = 0
        self._message = 0
        self._scalars = 0
        self._said: str = ""
        recent = list(history)[-MAX_ITEMS:]
        self._calendar(recent)
        last_user = max((at for at, item in enumerate(recent) if item.role == "user"), default=-1)
        for at, item in enumerate(recent):
            self._message += 1
            if item.call is not None:
                self._call(item)
            elif item.text:
                self._text(item.text[:MAX_SAID], last_user=at == last_user)
        self._message += 1

    def hear(self, sentence: str) -> None:
        """Take in a sentence of this turn."""
        self._sentence(sentence, this_turn=True)

    def was_said(self, text: str) -> bool:
        """Whether the user or the model brought this value up, in whatever spelling."""
        known = self.known.get(text)
        return known is not None and known.said

    def _calendar(self, items: Sequence[HistoryItem]) -> None:
        years: Counter[int] = Counter()
        for item in items:
            text = (item.call.result if item.call else item.text)[:MAX_SAID]
            years.update(int(match[1]) for match in _ISO.finditer(text))
            if item.call is not None:
                years.update(
                    int(v[:4]) for v in item.call.args.values() if isinstance(v, str) and iso_date(v)
                )
            elif (match := _TODAY.search(text)) and iso_date(match[1]):
                self.today = match[1]
        if self.today:
            self.year = int(self.today[:4])
        elif years:
            # Births and old bookings are mentioned too: what is asked about is recent.
            often = [year for year, count in years.items() if count > 1]
            self.year = max(often or years)

    def _text(self, text: str, *, last_user: bool) -> None:
        for match in _ALIAS.finditer(text):
            self.aliases[match[1].lower()] = match[2]
        reader = SentenceReader()
        for sentence in (*reader.feed(text), *reader.end()):
            if sentence.cut is not Cut.EARLY:
                self._sentence(sentence.text, last_user=last_user)

    def _sentence(self, text: str, *, this_turn: bool = False, last_user: bool = False) -> None:
        for match in _ALIAS.finditer(text):
            self.aliases[match[1].lower()] = match[2]
        for value in find_values(tokens(text), year=self.year, today=self.today):
            known = self._see(value.text)
            if known is None:
                return
            self._describe(known, value)
            known.said = True
            known.this_turn = known.this_turn or this_turn
            known.last_user = known.last_user or last_user

    def _describe(self, known: Known, value: Value) -> None:
        known.cues.update(value.before[:3])
        if value.after:
            known.cues.add(value.after)
        if value.key:
            known.keys.add(value.key)
        if value.role:
            known.roles.add(value.role)
        known.kinds.add(value.kind)

    def _see(self, text: str, data: str | float | bool | None = None) -> Known | None:
        self._order += 1
        known = self.known.get(text)
        if known is None:
            if len(self.known) >= MAX_KNOWN:
                return None
            known = self.known[text] = Known(text=text, data=text if data is None else data, born=self._order)
        known.order = self._order
        known.message = self._message
        return known

    def _call(self, item: HistoryItem) -> None:
        call = item.call
        if call is None:
            return
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
        self._result(call.result)

    def _result(self, text: str) -> None:
        if len(text) > MAX_RESULT:
            text = ""
        self._scalars = 0
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict | list):
            self._walk("", data, depth=0)
            return
        for value in find_values(tokens(text[:2_000]), year=self.year):
            known = self._see(value.text)
            if known is not None:
                self._describe(known, value)

    def _walk(self, key: str, data: Any, *, depth: int) -> None:
        if depth > 12 or self._scalars > MAX_SCALARS:
            return
        if isinstance(data, dict):
            if len(data) > 2 and all(isinstance(v, str) and _CODE.fullmatch(k) for k, v in data.items()):
                self.aliases.update({value.lower(): name for name, value in data.items()})
            for name, value in data.items():
                if any(letter.isdigit() for letter in name):
                    self._scalar(key, name, data)  # an object keyed by identifiers
                    self._walk(key, value, depth=depth + 1)
                elif isinstance(value, dict | list):
                    self._walk(name, value, depth=depth + 1)
                else:
                    self._scalar(name, value, data)
        elif isinstance(data, list):
            for value in data[:200]:
                if isinstance(value, dict | list):
                    self._walk(key, value, depth=depth + 1)
                else:
                    self._scalar(key, value, None)

    def _scalar(self, key: str, value: Any, record: Mapping[str, Any] | None) -> None:
        self._scalars += 1
        if value is None or (isinstance(value, str) and not 0 < len(value) <= MAX_TEXT):
            return
        known = self._see(str(value), value)
        if known is None:
            return
        known.keys.add(key.lower())
        known.cues.update(stem(word) for word in name_words(key))
        if record is not None and len(known.records) < 4:
            known.records.append(record)


def _scalars_of(args: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in args.items():
        for item in value[:20] if isinstance(value, list) else [value]:
            if isinstance(item, str | int | float) and len(str(item)) <= MAX_TEXT:
                yield name.lower(), item
