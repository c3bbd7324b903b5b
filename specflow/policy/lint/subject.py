"""What lint looks at: a policy that loads, the files it came from, and what they say about each tool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy.compiled import Entry, Plan
from specflow.policy.document import ToolPart
from specflow.policy.judge import declared
from specflow.policy.policy import Policy
from specflow.policy.read_document import Read
from specflow.policy.verdict import Speculate


class Site(NamedTuple):
    """One entry of one file: `name` is a tool or a pattern, `part` what is written about it."""

    read: Read
    name: str
    part: ToolPart


class Hit(NamedTuple):
    """Something found: `loc` is a path from the top of the file, `key` points at its last key."""

    read: Read
    loc: tuple[str | int, ...]
    message: str
    key: bool = False


@dataclass(frozen=True, slots=False, kw_only=True)
class Subject:
    """A loaded policy and its files. `policy.tools` None: nothing is known about the tools themselves."""

    policy: Policy
    reads: tuple[Read, ...]

    @property
    def tools(self) -> ToolRegistry | None:
        return self.policy.tools

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Every entry of every file, in their order."""
        return tuple(
            Site(read, name, part)
            for read in self.reads
            for name, part in (read.document.tools.items() if read.document else ())
        )

    def tool(self, name: str) -> ToolSpec | None:
        """The tool of that name, where the tools are known."""
        return self.tools.get(name) if self.tools is not None else None

    def entries(self, name: str) -> tuple[Entry, ...]:
        """Every entry that speaks about the name; a pattern is spoken about by itself."""
        return self.policy.compiled.entries_for(name, self.tool(name))

    def plan(self, name: str) -> Plan:
        """What the policy makes of the tool, whether it is registered or not."""
        return self.policy.plan(name, self.tool(name), registered=True)

    def effect(self, name: str) -> EffectClass:
        """What is declared of the tool, before any rule."""
        return declared(self.plan(name), [])

    def classed(self, name: str) -> bool:
        """Whether anything says what the tool may do."""
        plan = self.plan(name)
        return bool(self.entries(name)) or plan.annotation is not None or plan.hinted

    def early(self, name: str) -> bool:
        """Whether the policy means some call of the tool to run before the model has asked for it."""
        effect = self.effect(name)
        if effect.strictness >= EffectClass.CONFIRMATION_REQUIRED.strictness:
            return False
        usual = Speculate.NOW if effect is EffectClass.READ_ONLY else Speculate.HOLD
        said = [entry for entry in self.entries(name) if entry.has_opinion]
        best = [loosest(entry, usual) for entry in said] or [usual]
        tool = self.tool(name)
        return all(word is Speculate.NOW for word in best) and not (tool and tool.injected)

    def here(self, site: Site, *loc: str | int) -> tuple[str | int, ...]:
        """The path of something in the entry."""
        return ("tools", site.name, *loc)

    def hit(self, site: Site, *loc: str | int, message: str, key: bool = False) -> Hit:
        """Something found at `loc` inside the entry."""
        return Hit(site.read, self.here(site, *loc), message, key)


def loosest(entry: Entry, usual: Speculate) -> Speculate:
    """The earliest that the entry lets a call run, where it says `usual` if it does not say when."""
    said = [entry.speculate or usual, *(rule.speculate for rule in entry.allows)]
    return min(said, key=lambda word: word.strictness)


Found = Iterator[Hit]
"""What a check gives."""
