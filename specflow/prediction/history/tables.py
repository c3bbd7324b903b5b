"""What was counted in earlier conversations: which call follows which, and on which path its arguments were.

All counts are sums over conversations, so that those of one part can be taken out of the whole again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from specflow.prediction.dates import iso_date
from specflow.prediction.history.called import called_as
from specflow.prediction.history.dialogue import START, Args, Dialogue

REPLY = ""
"""The name that stands for an answer without a call."""

ORDERS = 4
"""So many events back are looked at for what comes next."""

RARE = 0.15
"""Sets of arguments with a smaller share of a tool's calls are not proposed."""

ENOUGH = 200
"""Moments at which a tool could have been called and was not, nor ever before: it is not cold any more."""

SELDOM = 1 / 500
"""The chance that a tool is called again after a call that succeeded, below which it is over with that."""

K = TypeVar("K")
V = TypeVar("V")
Join = tuple[tuple[str, str], ...]
"""Parameters with the paths that were filled from one record: (parameter, path), sorted."""


@dataclass
class Tables:
    """Counts. `after[k]` is by the last k events; `there` and `hits` by (tool, parameter) and path:
    how often the path had values when the tool was called, and how often the right one among them. `shown`
    says how often a tool could have been called, and `settled` how often when its last call in the
    conversation had succeeded; `again` in how many of these messages it was. `called` says by (tool,
    parameter) how often its value was called as the parameter is ("own"), only otherwise ("foreign"), or not
    at all ("").
    """

    steps: int = 0
    after: dict[tuple[str, ...], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    forms: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(Counter))
    there: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    hits: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    joins: dict[str, Counter[Join]] = field(default_factory=lambda: defaultdict(Counter))
    years: Counter[str] = field(default_factory=Counter)
    homes: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    conversations: int = 0
    called: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def __post_init__(self) -> None:
        self._good: dict[tuple[str, str], list[tuple[str, float]]] = {}
        self._miscalled: dict[tuple[str, str], float] = {}
        self._forms: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        self._joins: dict[str, list[tuple[Join, float]]] = {}

    def learn(
        self,
        dialogue: Dialogue,
        tool: str,
        args: Args = (),
        tools: Sequence[str] = (),
        more: Iterable[str] = (),
    ) -> None:
        """In that situation, the model called `tool` (or gave a reply), of the `tools` that it had; `more`
        are those that the same message asked for besides.
        """
        self.steps += 1
        self.shown.update(tools)
        settled = dialogue.settled.intersection(tools)
        self.settled.update(settled)
        self.again.update(settled.intersection((tool, *more)))
        self._changed(tool)
        self.conversations += not dialogue.counted
        new = dialogue.at.keys() - dialogue.counted
        self.homes.update(list(new))
        dialogue.counted |= {START, *new}
        for order in range(ORDERS + 1):
            self.after[context_of(dialogue, order)][tool] += 1
        if tool == REPLY:
            return
        self.forms[tool][tuple(name for name, _ in args)] += 1
        for name, value in args:
            there, hits = self.there[tool, name], self.hits[tool, name]
            sight = dialogue.known.get(value)
            if sight is not None:
                own, foreign = called_as(sight.called, name)
                self.called[tool, name]["own" if own else "foreign" if foreign else ""] += 1
            if iso_date(value):
                self.years[value[:4]] += 1
            for path, values in dialogue.at.items():
                there[path] += 1
                if value in values:
                    hits[path] += 1
        if len(args) > 1:
            self.joins[tool].update(_joins(dialogue, args))

    def include(self, other: Tables, sign: int = 1) -> None:
        """Add the counts of other conversations, or (-1) take them out."""
        self.steps += sign * other.steps
        self.conversations += sign * other.conversations
        for kept in (self._good, self._miscalled, self._forms, self._joins):
            kept.clear()
        _add(self.after, other.after, sign)
        _add(self.forms, other.forms, sign)
        _add(self.there, other.there, sign)
        _add(self.hits, other.hits, sign)
        _add(self.joins, other.joins, sign)
        _add(self.called, other.called, sign)
        _add({"": self.years}, {"": other.years}, sign)
        _add({"": self.homes}, {"": other.homes}, sign)
        _add({"": self.shown}, {"": other.shown}, sign)
        _add({"": self.settled}, {"": other.settled}, sign)
        _add({"": self.again}, {"": other.again}, sign)

    def next_names(self, dialogue: Dialogue) -> dict[str, float]:
        """The probability of each name to come next: long contexts as far as they are known, then shorter."""
        found: dict[str, float] = {}
        left = 1.0
        for order in range(ORDERS, -1, -1):
            counts = self.after.get(context_of(dialogue, order))
            if not counts:
                continue
            total = counts.total()
            weight = left * (total / (total + 2.0) if order else 1.0)
            for name, count in counts.items():
                found[name] = found.get(name, 0.0) + weight * count / total
            left -= weight
        return found

    def share_after(self, event: str, of: Callable[[str], bool]) -> float:
        """How often a message that followed the event began with a tool that is one `of` some (rule of
        succession); in (0, 1).
        """
        counts = self.after.get((event,), Counter())
        return (sum([n for name, n in counts.items() if of(name)]) + 1.0) / (sum(counts.values()) + 2.0)

    @property
    def year(self) -> int | None:
        """The year that dates in arguments are usually of."""
        return int(self.years.most_common(1)[0][0]) if self.years else None

    def paths(self, tool: str, parameter: str) -> list[tuple[str, float]]:
        """The paths that the parameter is filled from, the best first, with how often each had the value."""
        key = (tool, parameter)
        good = self._good.get(key)
        if good is None:
            there = self.there[key]
            few = self.forms[tool].total() < 8 if tool in self.forms else True
            good = sorted(
                (
                    (path, count / (there[path] + 3.0))
                    for path, count in self.hits.get(key, Counter()).items()
                    if count >= 2 or few
                ),
                key=lambda entry: (-entry[1], entry[0]),
            )[:8]
            self._good[key] = good
        return good

    def miscalled(self, tool: str, parameter: str) -> float:
        """How often the parameter had a value that was called otherwise (rule of succession); in (0, 1)."""
        key = (tool, parameter)
        found = self._miscalled.get(key)
        if found is None:
            counts = self.called.get(key)
            found = (counts["foreign"] + 1.0) / (counts.total() + 2.0) if counts is not None else 0.5
            self._miscalled[key] = found
        return found

    def usual_forms(self, tool: str) -> list[tuple[tuple[str, ...], float]]:
        """The sets of arguments that the tool is called with, at most two, with their shares."""
        found = self._forms.get(tool)
        if found is None:
            forms = self.forms.get(tool, Counter())
            total = forms.total() or 1
            found = [(form, count / total) for form, count in forms.most_common(2) if count / total >= RARE]
            self._forms[tool] = found
        return found

    def usual_joins(self, tool: str) -> list[tuple[Join, float]]:
        """What was filled from one record, the most frequent first, with its share of the tool's calls."""
        found = self._joins.get(tool)
        if found is None:
            total = self.forms[tool].total() if tool in self.forms else 0
            joins = [
                (join, count)
                for join, count in self.joins.get(tool, Counter()).items()
                if count > 1 or total < 8
            ]
            # One that fills more of the arguments leaves less to be guessed.
            joins.sort(key=lambda entry: (-entry[1] * (len(entry[0]) - 1), entry[0]))
            found = [(join, count / total) for join, count in joins[:8] if total]
            self._joins[tool] = found
        return found

    def known(self) -> frozenset[str]:
        """The tools that were called, and those that were not although they could have been so often that
        they hardly ever will be.
        """
        return frozenset(self.forms).union(name for name, times in self.shown.items() if times >= ENOUGH)

    def over(self, dialogue: Dialogue) -> list[str]:
        """The tools that have succeeded in this conversation and will hardly ever be called in it again.

        Who the user is, say, is found out once.
        """
        return [name for name in dialogue.settled if self.seldom_again(name)]

    def seldom_again(self, tool: str) -> bool:
        """Whether a call that succeeds is hardly ever followed by another one (by the rule of succession)."""
        return self.again.get(tool, 0) + 1 < SELDOM * (self.settled.get(tool, 0) + 2)

    def forget(self, tool: str) -> None:
        """Drop what is known of a tool's arguments."""
        for counts in (self.shown, self.settled, self.again):
            counts.pop(tool, None)
        self.forms.pop(tool, None)
        self.joins.pop(tool, None)
        for table in (self.there, self.hits, self.called):
            for key in [key for key in table if key[0] == tool]:
                del table[key]
        self._changed(tool)

    def _changed(self, tool: str) -> None:
        """What was worked out for the tool is worked out again."""
        self._forms.pop(tool, None)
        self._joins.pop(tool, None)
        for by_parameter in (self._good, self._miscalled):
            for key in [key for key in by_parameter if key[0] == tool]:
                del by_parameter[key]

    def as_json(self, *, least: int) -> dict[str, Any]:
        """The counts; paths that came up in fewer than `least` conversations are left out."""
        paths = {path for hits in self.hits.values() for path in hits if self.homes[path] >= least}
        hits: dict[str, dict[str, dict[str, list[int]]]] = {}
        for (tool, parameter), counts in self.hits.items():
            there = self.there[tool, parameter]
            kept = {path: [count, there[path]] for path, count in counts.items() if path in paths}
            if kept:
                hits.setdefault(tool, {})[parameter] = kept
        joins = {
            tool: [
                [join, count]
                # As often, in the order of their names: which came up first may depend on the process.
                for join, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
                if paths.issuperset(path for _, path in join)
            ]
            for tool, counts in self.joins.items()
        }
        return {
            "steps": self.steps,
            "conversations": self.conversations,
            "years": dict(self.years),
            "paths": {path: self.homes[path] for path in sorted(paths)},
            "after": [[list(context), dict(counts)] for context, counts in self.after.items() if counts],
            "shown": dict(sorted(self.shown.items())),
            "settled": {name: [many, self.again[name]] for name, many in sorted(self.settled.items())},
            "forms": {tool: [[form, n] for form, n in forms.items()] for tool, forms in self.forms.items()},
            "hits": hits,
            "called": [[*key, dict(counts)] for key, counts in sorted(self.called.items()) if counts],
            "joins": {tool: entries for tool, entries in joins.items() if entries},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tables:
        """Counts as they were written.

        Raises:
            KeyError, TypeError, ValueError: the data has another shape.
        """
        made = cls(steps=int(data["steps"]), conversations=int(data["conversations"]))
        made.years.update({str(year): int(count) for year, count in data["years"].items()})
        made.homes.update({str(path): int(count) for path, count in data["paths"].items()})
        made.shown.update({str(name): int(count) for name, count in data.get("shown", {}).items()})
        for name, (settled, again) in data.get("settled", {}).items():
            made.settled[str(name)], made.again[str(name)] = int(settled), int(again)
        for context, counts in data["after"]:
            made.after[tuple(context)].update({str(name): int(count) for name, count in counts.items()})
        for tool, forms in data["forms"].items():
            made.forms[tool].update({tuple(form): int(count) for form, count in forms})
        for tool, parameters in data["hits"].items():
            for parameter, paths in parameters.items():
                for path, (count, there) in paths.items():
                    made.hits[tool, parameter][path] = int(count)
                    made.there[tool, parameter][path] = int(there)
        for tool, parameter, counts in data.get("called", ()):
            made.called[tool, parameter].update({str(how): int(count) for how, count in counts.items()})
        for tool, entries in data["joins"].items():
            for join, count in entries:
                made.joins[tool][tuple((name, path) for name, path in join)] = int(count)
        return made


def _add(mine: dict[K, Counter[V]], theirs: dict[K, Counter[V]], sign: int) -> None:
    for key, counts in theirs.items():
        own = mine[key]
        for name, count in counts.items():
            own[name] += sign * count
            if own[name] <= 0:
                del own[name]


def _joins(dialogue: Dialogue, args: Args) -> set[Join]:
    """The paths by which several of the arguments could have come from one record."""
    by_record: dict[int, dict[str, str]] = {}
    for name, value in args:
        sight = dialogue.known.get(value)
        for record in sight.records if sight is not None else ():
            for path, other in record.fields.items():
                if other == value:
                    by_record.setdefault(id(record), {})[name] = path
    return {tuple(sorted(filled.items())) for filled in by_record.values() if len(filled) > 1}


def context_of(dialogue: Dialogue, order: int) -> tuple[str, ...]:
    return tuple(dialogue.events[-order:]) if order else ()
