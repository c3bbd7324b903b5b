"""The values that a conversation has brought up so far, and what is known about each."""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call, NotJsonError
from specflow.prediction.clause import Cut, SentenceReader
from specflow.prediction.dates import iso_date
from specflow.prediction.predictor import HistoryItem
from specflow.prediction.values import MAX_TEXT, Value, ValueKind, find_values, may_hold_values
from specflow.prediction.words import Token, name_words, stem, tokens

MAX_ITEMS = 80
MAX_RESULT = 200_000
MAX_SAID = 20_000
MAX_SCALARS = 2_000
MAX_KNOWN = 5_000
KEPT_SENTENCES = 60
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
    """The history of a turn, and every sentence of the turn that it is told.

    Nothing is looked at before it is asked for: then the history once, and of the sentences the last sixty.
    """

    def __init__(self, history: Sequence[HistoryItem]) -> None:
        self._history: Sequence[HistoryItem] | None = history
        self._unheard: deque[tuple[str, Sequence[Token], Sequence[Value] | None]] = deque(
            maxlen=KEPT_SENTENCES
        )
        self._known: dict[str, Known] = {}
        self._aliases: dict[str, str] = {}
        self._made: set[str] = set()
        self._year: int | None = None
        self._today = ""
        self._order = 0
        self._message = 0
        self._scalars = 0

    def hear(self, sentence: str, words: Sequence[Token] = (), values: Sequence[Value] | None = None) -> None:
        """Take in a sentence of this turn, with its tokens and values when these are known already."""
        self._unheard.append((sentence, words, values))

    @property
    def known(self) -> Mapping[str, Known]:
        """Every value that was brought up."""
        self._catch_up()
        return self._known

    @property
    def aliases(self) -> Mapping[str, str]:
        """Codes by the names that stand for them, in lower case."""
        self._catch_up()
        return self._aliases

    @property
    def made(self) -> Set[str]:
        """Fingerprints of the calls that have been answered."""
        self._index()
        return self._made

    @property
    def year(self) -> int | None:
        """The year that dates without one are of."""
        self._index()
        return self._year

    @property
    def today(self) -> str:
        """The day of the conversation where it was said, as ISO text."""
        self._index()
        return self._today

    def full_name(self, first: str) -> str:
        """The only full name so far that begins with a first name; else the first name alone."""
        full = [name for name in self.known if name.startswith(first + " ")]
        return full[0] if len(full) == 1 and ValueKind.NAME in self._known[full[0]].kinds else first

    def was_said(self, text: str) -> bool:
        """Whether the user or the model brought this value up, in whatever spelling."""
        known = self.known.get(text)
        return known is not None and known.said

    def _index(self) -> None:
        if self._history is None:
            return
        recent, self._history = list(self._history)[-MAX_ITEMS:], None
        self._calendar(recent)
        last_user = max((at for at, item in enumerate(recent) if item.role == "user"), default=-1)
        for at, item in enumerate(recent):
            self._message += 1
            if item.call is not None:
                self._call(item)
            elif item.text:
                self._text(item.text[:MAX_SAID], last_user=at == last_user)
        self._message += 1

    def _catch_up(self) -> None:
        self._index()
        while self._unheard:
            text, words, values = self._unheard.popleft()
            self._sentence(text, words, values, this_turn=True)

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
                self._today = match[1]
        if self._today:
            self._year = int(self._today[:4])
        elif years:
            # Births and old bookings are mentioned too: what is asked about is recent.
            often = [year for year, count in years.items() if count > 1]
            self._year = max(often or years)

    def _text(self, text: str, *, last_user: bool) -> None:
        for match in _ALIAS.finditer(text):
            self._aliases[match[1].lower()] = match[2]
        reader = SentenceReader()
        for sentence in (*reader.feed(text), *reader.end()):
            if sentence.cut is not Cut.EARLY:
                self._sentence(sentence.text, last_user=last_user)

    def _sentence(
        self,
        text: str,
        words: Sequence[Token] = (),
        values: Sequence[Value] | None = None,
        *,
        this_turn: bool = False,
        last_user: bool = False,
    ) -> None:
        if "(" in text:
            for match in _ALIAS.finditer(text):
                self._aliases[match[1].lower()] = match[2]
        if values is None:
            if not may_hold_values(text, today=self._today):
                return
            values = find_values(words or tokens(text), year=self._year, today=self._today)
        for value in values:
            known = self._see(value.text)
            if known is None:
                return
            self._describe(known, value)
            known.said = True
            known.this_turn = known.this_turn or this_turn
            known.last_user = known.last_user or last_user

    def _describe(self, known: Known, value: Value) -> None:
        cues = value.cues
        known.cues |= cues.near
        if cues.after:
            known.cues.add(cues.after)
        if cues.key:
            known.keys.add(cues.key)
        if cues.role:
            known.roles.add(cues.role)
        known.kinds.add(value.kind)

    def _see(self, text: str, data: str | float | bool | None = None) -> Known | None:
        self._order += 1
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                return None
            known = self._known[text] = Known(
                text=text, data=text if data is None else data, born=self._order
            )
        known.order = self._order
        known.message = self._message
        return known

    def _call(self, item: HistoryItem) -> None:
        call = item.call
        if call is None:
            return
        if not call.failed:
            try:
                self._made.add(Call(tool=call.tool, args=call.args).fingerprint)
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
        for value in find_values(tokens(text[:2_000]), year=self._year):
            known = self._see(value.text)
            if known is not None:
                self._describe(known, value)

    def _walk(self, key: str, data: Any, *, depth: int) -> None:
        if depth > 12 or self._scalars > MAX_SCALARS:
            return
        if isinstance(data, dict):
            if len(data) > 2 and all(isinstance(v, str) and _CODE.fullmatch(k) for k, v in data.items()):
                self._aliases.update({value.lower(): name for name, value in data.items()})
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
