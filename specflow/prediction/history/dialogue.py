"""A conversation as the history predictor knows it: brought up to date by each new message alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from specflow.prediction.history.called import called_in
from specflow.prediction.history.mentions import mentions_in
from specflow.prediction.history.remembered import Look, Rows, WordTraits
from specflow.prediction.history.results import values_in
from specflow.prediction.history.seen import MAX_VALUE, Record, Seen, text_of
from specflow.prediction.history.sought import Sought
from specflow.prediction.history.topics import NO_TOPICS, HeardTopics, Topics
from specflow.prediction.history.words import all_words, places_of, plain_words
from specflow.prediction.predictor import HistoryItem, PastCall

START, USER = "^", "user"
MAX_EVENTS = 8
MAX_PLACES = 600
MAX_KNOWN = 5_000
MAX_AT = 80
MAX_RECORDS = 60
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)-\d\d-\d\d(?!\d)")

Args = tuple[tuple[str, str], ...]
"""The arguments of a call: name and text of the value, sorted by name."""


@dataclass(slots=True)
class Sight:
    """When a value was first and last seen (in messages), how often, in which records, and the stems of what
    it was called, as far as some parameter is called so, too.
    """

    first: int
    last: int
    times: int = 0
    records: list[Record] = field(default_factory=list)
    called: frozenset[str] = frozenset()

    def copy(self) -> Sight:
        """Another one, that may be seen again."""
        return Sight(self.first, self.last, self.times, list(self.records), self.called)


class Dialogue:
    """Values by path, and what has happened. Grows with `take`; nothing is ever looked through again."""

    def __init__(
        self,
        *,
        cues: frozenset[str] = frozenset(),
        topics: Topics = NO_TOPICS,
        year: int | None = None,
        agent: str = "",
        scopes: tuple[str, ...] = (),
    ) -> None:
        self.agent, self.scopes = agent, scopes
        self._cues = cues
        self.heard_topics, self.sought = HeardTopics(topics), Sought()
        self.step = 0
        self.spoken = 0
        self.at: dict[str, dict[str, int]] = {}
        self.known: dict[str, Sight] = {}
        self.records: dict[str, list[Record]] = {}
        self.arrived: dict[str, int] = {}
        self.used: dict[tuple[str, str], dict[str, int]] = {}
        self.calls: dict[str, list[Args]] = {}
        self.made: dict[tuple[str, Args], int] = {}
        self.times: Counter[tuple[str, Args]] = Counter()
        self.rounds: list[list[tuple[str, Args]]] = [[]]
        self.events: list[str] = [START]
        self.counted: set[str] = set()
        self.called: Counter[str] = Counter()
        self.settled: set[str] = set()
        self.since = 0
        self.run = 0
        self.users = 0
        self.failed = False
        self.together = self.several = self.single = 0
        self.result_size = 0
        self.user_text = ""
        self.user_values: frozenset[str] = frozenset()
        self.all_user_values: set[str] = set()
        self.model_values: frozenset[str] = frozenset()
        self.user_words: frozenset[str] = frozenset()
        self.user_said: tuple[str, ...] = ()
        self.user_places: dict[str, int] = {}
        self.model_text = ""
        self.model_words: frozenset[str] = frozenset()
        self.model_said: tuple[str, ...] = ()
        self.all_user_text = ""
        self.all_user_words: set[str] = set()
        self.found_words: set[str] = set()
        self.looks: dict[str, Look] = {}
        self.looked_before: dict[str, Look] = {}
        self.titles: dict[frozenset[str], tuple[float, int]] = {}
        self.heard: dict[int, tuple[Record, frozenset[str]]] = {}
        self.rows: dict[tuple[tuple[str, str], ...], Rows] = {}
        self.word_traits: dict[str, WordTraits] = {}
        self.heard_words: frozenset[str] = frozenset()
        self._usual_year = year
        self._years: Counter[int] = Counter()
        self._year = year

    def take(self, item: HistoryItem) -> None:
        """The next message. Costs time by its own length only."""
        if item.role == "assistant":
            self._asked()
        if item.call is not None:
            self.step += 1
            self._call(item.call)
        elif item.text and item.role in {"user", "assistant"}:
            self.step += 1
            (self._user if item.role == "user" else self._model)(item.text)
            self.heard_words = frozenset(self.all_user_words | self.model_words)
            self.spoken += 1
            self.titles.clear()
            self.heard.clear()
            if len(self.looked_before) > MAX_KNOWN:
                self.looked_before.clear()
            self.looked_before.update(self.looks)
            self.looks.clear()
            self.word_traits.clear()
        elif item.text:
            self._dates(item.text)

    def copy(self) -> Dialogue:
        """The same conversation, which may go another way; costs a small part of reading it anew."""
        made = copy(self)
        made.at = {path: dict(values) for path, values in self.at.items()}
        made.known = {value: sight.copy() for value, sight in self.known.items()}
        made.records = {path: list(records) for path, records in self.records.items()}
        made.used = {key: dict(values) for key, values in self.used.items()}
        made.calls = {tool: list(calls) for tool, calls in self.calls.items()}
        made.rounds = [list(calls) for calls in self.rounds]
        made.rows = {join: rows.copy() for join, rows in self.rows.items()}
        made.made, made.arrived, made.user_places = (
            dict(self.made),
            dict(self.arrived),
            dict(self.user_places),
        )
        made.looks, made.looked_before = dict(self.looks), dict(self.looked_before)
        made.word_traits = dict(self.word_traits)
        made.titles, made.heard = dict(self.titles), dict(self.heard)
        made.times, made.called = self.times.copy(), self.called.copy()
        made._years = self._years.copy()  # noqa: SLF001 - of the same class
        made.events, made.counted, made.settled = list(self.events), set(self.counted), set(self.settled)
        made.all_user_values, made.all_user_words = set(self.all_user_values), set(self.all_user_words)
        made.found_words = set(self.found_words)
        made.heard_topics, made.sought = copy(self.heard_topics), copy(self.sought)
        return made

    def _asked(self) -> None:
        """A message of the model begins: how many calls the one before had is known."""
        self.several += self.together > 1
        self.single += self.together == 1
        self.together = 0

    def _user(self, text: str) -> None:
        self.user_text = text.lower()
        self.user_words = plain_words(text)
        self.user_said = all_words(text)
        self.user_places = places_of(self.user_said)
        self.all_user_text = f"{self.all_user_text}\n{self.user_text}"[-40_000:]
        self.all_user_words |= self.user_words
        self.found_words.clear()
        self.heard_topics.user(self.user_said)
        self.rounds.append([])
        del self.rounds[:-3]
        self._event(USER)
        self.since = 0
        self.users += 1
        self.failed = False
        found = mentions_in("user", text, year=self._dates(text))
        self.user_values = frozenset(seen.value for seen in found)
        self.all_user_values |= self.user_values
        self.sought.named(found, self._given_alone)
        self._see_all(found)

    def _model(self, text: str) -> None:
        self.model_text = text.lower()
        self.model_words = plain_words(text)
        self.model_said = all_words(text)
        self.heard_topics.model(self.model_said)
        found = mentions_in("model", text, year=self._dates(text))
        self.model_values = frozenset(seen.value for seen in found)
        self._see_all(found)

    def _call(self, call: PastCall) -> None:
        args = args_of(call.args)
        self.failed = call.failed or call.result.startswith("Error")
        self._event(f"{call.tool}!" if self.failed else call.tool)
        self.run = self.run + 1 if self.rounds[-1] and self.rounds[-1][-1][0] == call.tool else 1
        self.called[call.tool] += 1
        (self.settled.discard if self.failed else self.settled.add)(call.tool)
        self.together += 1
        self.since += 1
        self.result_size = len(call.result)
        record = Record(fields={f"arg:{call.tool}.{name}": value for name, value in args})
        for name, value in args:
            if len(value) <= MAX_VALUE:
                self.used.setdefault((call.tool, name), {})[value] = self.step
                self._see(Seen(f"arg:{call.tool}.{name}", value, record))
        self.calls.setdefault(call.tool, []).append(args)
        self.made[call.tool, args] = self.step
        self.times[call.tool, args] += 1
        self.rounds[-1].append((call.tool, args))
        self._dates(call.result[:20_000])
        found = values_in(call.tool, call.result)
        if len(args) == 1:
            self.sought.given(args[0][1])
        self.sought.result(found)
        for seen in found:
            self._see(seen)
            if seen.record is not None and self.since <= 40:
                self.found_words |= seen.record.words & self.user_words

    def _event(self, name: str) -> None:
        self.events.append(name)
        del self.events[:-MAX_EVENTS]

    def _dates(self, text: str) -> int | None:
        """The year that this conversation is about: the latest that was named more than once, or at all."""
        usual = self._usual_year
        # Births are mentioned, too.
        years = [y for y in map(int, _YEAR.findall(text)) if usual is None or abs(y - usual) < 3]
        if years:
            self._years.update(years)
            often = [year for year, count in self._years.items() if count > 1]
            self._year = max(often or self._years)
        return self._year

    def _see_all(self, values: tuple[Seen, ...]) -> None:
        for seen in values:
            if not seen.cue or seen.cue in self._cues:
                self._see(seen)

    def _see(self, seen: Seen) -> None:
        value = seen.value
        sight = self.known.get(value)
        if sight is None:
            if len(self.known) >= MAX_KNOWN:
                return
            sight = self.known[value] = Sight(first=self.step, last=self.step)
        sight.last = self.step
        sight.times += 1
        called = self._cues.intersection((seen.cue,) if seen.cue else called_in(seen.path))
        if not called <= sight.called:
            sight.called |= called
        if seen.record is not None and (not sight.records or sight.records[-1] is not seen.record):
            sight.records.append(seen.record)
            del sight.records[:-MAX_RECORDS]
            self._look_again(value)
        place = self.at.get(seen.path)
        if place is None:
            if len(self.at) >= MAX_PLACES:
                return
            place = self.at[seen.path] = {}
            self.records[seen.path] = []
        elif value in place:
            del place[value]
        elif len(place) >= MAX_AT:
            del place[next(iter(place))]
        place[value] = self.step
        if seen.record is not None:
            records = self.records[seen.path]
            records.append(seen.record)
            self.arrived[seen.path] = self.arrived.get(seen.path, 0) + 1
            del records[:-MAX_RECORDS]

    def _look_again(self, value: str) -> None:
        """It stands in one record more."""
        look = self.looks.pop(value, None)
        if look is not None:
            self.looked_before[value] = look

    def _given_alone(self, value: str) -> bool:
        return any(
            value in values and (tool, ((name, value),)) in self.made
            for (tool, name), values in self.used.items()
        )

    def unused(self, tool: str, parameter: str, path: str) -> Iterator[str]:
        """The values on a path that the tool was not called with yet, in the order in which they came up."""
        used = self.used.get((tool, parameter), {})
        return (value for value in self.at.get(path, ()) if value not in used)


def args_of(args: Mapping[str, Any]) -> Args:
    """Arguments as the predictor compares them."""
    return tuple(sorted((name, text_of(value)) for name, value in args.items()))
