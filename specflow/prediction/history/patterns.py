"""Learned patterns: counts and weights, kept in a file that holds no value of any conversation."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any

from specflow.effects.call import digest
from specflow.effects.registry import ToolRegistry
from specflow.errors import AuthorError
from specflow.prediction.calibration.stages import Stages
from specflow.prediction.history.chooser import Options, options, softmax
from specflow.prediction.history.considered import Considered, Taught
from specflow.prediction.history.dialogue import Args, Dialogue
from specflow.prediction.history.scopes import scopes_of
from specflow.prediction.history.tables import Tables
from specflow.prediction.history.together import Together, offered
from specflow.prediction.history.topics import topics_of
from specflow.prediction.history.weights import Weights
from specflow.prediction.history.worth_a_look import Worthy, may_read_on, worthy_by
from specflow.prediction.triggers import Triggers
from specflow.prediction.words import name_words, stem

VERSION = 1
KIND = "specflow-patterns"
LEAST = 3
"""Conversations that a path must have come up in to be written: keys of one alone may be somebody's data."""


class PatternsError(AuthorError):
    """A file of patterns that cannot be read."""

    code = "patterns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """`parameter` of `tool` was filled from `path` in `count` of the `calls` where that path had values."""

    tool: str
    parameter: str
    path: str
    count: int
    calls: int


@dataclass
class Patterns:
    """`tools` has the schema hashes that each tool was learned with: patterns hold for these alone.

    `sharpness` is what scores are divided by, for each set of tools, and (empty) for any other; `stages`
    what the probabilities have been worth since. `triggers` are the words in which calls were announced.
    Tenants and users are known by digests with the `salt`, which is that of these patterns alone.
    """

    tables: Tables = field(default_factory=Tables)
    weights: Weights = field(default_factory=Weights)
    tools: dict[str, list[str]] = field(default_factory=dict)
    sharpness: dict[str, float] = field(default_factory=dict)
    stages: Stages = field(default_factory=Stages)
    triggers: Triggers = field(default_factory=Triggers)
    together: Together = field(default_factory=Together)
    salt: str = field(default_factory=lambda: token_hex(8))

    def dialogue(self, tools: ToolRegistry, agent: str = "", *, tenant: str = "", user: str = "") -> Dialogue:
        """A new conversation, to be told of each message."""
        scopes = scopes_of(self.salt, tenant, user)
        return Dialogue(
            cues=cues_of(tools),
            topics=topics_of(spec.name for spec in tools),
            year=self.tables.year,
            agent=agent,
            scopes=scopes,
        )

    def consider(self, dialogue: Dialogue, tools: ToolRegistry, early: Callable[[str], bool]) -> Considered:
        """What may come next in the conversation, with probabilities."""
        situation: dict[str, float] = {}

        def worth(found: Options) -> Worthy:
            situation.update(self.weights.situation(found))
            on = may_read_on(self.tables, dialogue, early)
            return worthy_by(situation, self.tables.over(dialogue), reads_on=on)

        names = [spec.name for spec in tools]
        found = options(self.tables, dialogue, names, early, worth)
        sharpness = self.sharpness.get(kit_of(tools)) or self.sharpness.get("") or 1.0
        compiled = self.weights.compile(found)
        scores = [score / sharpness for score in self.weights.scores(compiled, situation)]
        first = softmax(scores)
        among = offered(dialogue, found.names, found.args)
        shares = self.together.shares(among, first)
        return Considered(found, compiled, first, names, early, among, shares)

    def count(
        self,
        dialogue: Dialogue,
        considered: Considered,
        tool: str,
        args: Args | None,
        more: Sequence[tuple[str, Args]] = (),
    ) -> Taught:
        """The model did this, in the situation that was considered and has not changed since; its message
        asked for `more` besides. Returns what is left to be weighed: that takes longer, and the conversation
        is not needed for it.
        """
        found, compiled = considered.options, considered.compiled
        begins = right = found.place_of(tool, args)
        further = frozenset(found.place_of(*one) for one in more)
        if tool in found.cut and (right < 0 or found.args[right] is None):
            # Not all of its calls were looked at: now they are.
            found = options(self.tables, dialogue, considered.tools, considered.early)
            right, compiled = found.place_of(tool, args), self.weights.compile(found)
        besides = (name for name, _ in more)
        self.tables.learn(dialogue, tool, args or (), considered.tools, besides)
        return Taught(considered, begins, further, compiled, right)

    def weigh(self, taught: Taught) -> None:
        """Learn what counting has left."""
        considered = taught.considered
        if taught.begins >= 0:
            self.together.learn(considered.offered, taught.begins, considered.probabilities, taught.more)
        if taught.right >= 0:
            self.weights.learn(taught.compiled, taught.right)

    def look_up(self, considered: Considered) -> None:
        """Work out anew what the weights say of what is considered: most of it will be asked again."""
        found = considered.options
        self.weights.scores(considered.compiled, self.weights.situation(found))

    def adapt(self, tools: ToolRegistry) -> None:
        """Forget what was learned of tools that have another schema now."""
        for spec in tools:
            known = self.tools.setdefault(spec.name, [spec.schema_hash])
            if spec.schema_hash not in known:
                self.tables.forget(spec.name)
                self.triggers.forget(spec.name)
                self.tools[spec.name] = [spec.schema_hash]

    def flows(self) -> Iterator[Flow]:
        """Which parameter is filled from where; for each parameter the most telling path first."""
        for (tool, parameter), hits in sorted(self.tables.hits.items()):
            there = self.tables.there[tool, parameter]
            for path, _ in self.tables.paths(tool, parameter):
                yield Flow(
                    tool=tool,
                    parameter=parameter,
                    path=path,
                    count=hits[path],
                    calls=there[path],
                )

    def save(self, path: str | Path) -> None:
        """Write the patterns; paths that came up in fewer than 3 conversations are left out.

        Raises:
            OSError: the file cannot be written.
        """
        write_whole(path, self.as_text())

    def as_text(self) -> str:
        """The text of the file."""
        return json.dumps(self.as_json(), ensure_ascii=True, separators=(",", ":"), sort_keys=True) + "\n"

    def as_json(self) -> dict[str, Any]:
        """What is written."""
        tables = self.tables.as_json(least=min(LEAST, max(1, self.tables.conversations)))
        return {
            "kind": KIND,
            "version": VERSION,
            "tools": dict(sorted(self.tools.items())),
            "salt": self.salt,
            "sharpness": dict(sorted(self.sharpness.items())),
            "stages": self.stages.as_json(),
            "tables": tables,
            "together": self.together.as_json(),
            "triggers": self.triggers.as_json(),
            "weights": self.weights.as_json(tables["paths"]),
        }

    @classmethod
    def load(cls, path: str | Path) -> Patterns:
        """Patterns from a file.

        Raises:
            PatternsError: it cannot be read, or is none.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise PatternsError(f"{path}: cannot be opened: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise PatternsError(f"{path}: not JSON: {error}") from error
        return cls.from_json(data, place=str(path))

    @classmethod
    def from_json(cls, data: Any, *, place: str = "patterns") -> Patterns:
        """Patterns as they were written.

        Raises:
            PatternsError: the data is none, or of another version.
        """
        if not isinstance(data, Mapping) or data.get("kind") != KIND:
            raise PatternsError(f"{place}: no patterns: write some with `specflow patterns train`")
        if data.get("version") != VERSION:
            raise PatternsError(
                f"{place}: patterns of version {data.get('version')!r}, this program reads {VERSION}: "
                "train them again with `specflow patterns train`"
            )
        try:
            return cls(
                tables=Tables.from_json(data["tables"]),
                weights=Weights.from_json(data["weights"]),
                sharpness={str(kit): float(value) for kit, value in data["sharpness"].items()},
                stages=Stages.from_json(data.get("stages", ())),
                triggers=Triggers.from_json(data.get("triggers", {})),
                together=Together.from_json(data.get("together", {})),
                tools={str(name): [str(one) for one in hashes] for name, hashes in data["tools"].items()},
                **({"salt": str(data["salt"])} if "salt" in data else {}),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise PatternsError(f"{place}: broken: {type(error).__name__}: {error}") from error


def write_whole(path: str | Path, text: str) -> None:
    """Write a file so that nobody ever reads half of it.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)


@lru_cache(maxsize=64)
def _cues(names: frozenset[str]) -> frozenset[str]:
    return frozenset(stem(word) for name in names for word in name_words(name))


def kit_of(tools: ToolRegistry) -> str:
    """A short name for this set of tools."""
    return _kit(tuple(sorted(spec.name for spec in tools)))


@lru_cache(maxsize=64)
def _kit(names: tuple[str, ...]) -> str:
    return digest(*names)[:12]


def cues_of(tools: ToolRegistry) -> frozenset[str]:
    """Stems of the words that parameters are called by: only these count as what a value was called."""
    return _cues(frozenset(name for spec in tools for name in spec.properties))
