"""What was found, as a value; and the same for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specflow.policy.diff.calls import Asked
from specflow.policy.diff.looser import KINDS
from specflow.policy.explain import as_dict
from specflow.policy.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Loosening:
    """A call on which one policy permits more than the other. `kind` is one of `looser.KINDS`.

    `fits` says whether the arguments fit the tool's schema; None when the schema is not known.
    """

    tool: str
    kind: str
    asked: Asked
    old: Verdict
    new: Verdict
    fits: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A setting that differs. `direction` is looser, tighter, or changed (neither is the stricter)."""

    tool: str
    setting: str
    direction: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How hard one tool was looked at. `same`: both policies mean the same for it: nothing can be found."""

    tool: str
    calls: int
    fields: int
    pairs: int
    covered: int
    same: bool
    unvaried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a comparison found and did not prove. Hashes are 64 hex digits."""

    old_hash: str
    new_hash: str
    looser: tuple[Loosening, ...]
    tighter: tuple[Loosening, ...]
    changes: tuple[Change, ...]
    tried: tuple[Tried, ...]
    not_proven: tuple[str, ...]

    @property
    def loosened(self) -> bool:
        """Whether NEW permits something that OLD did not, or changes how something is undone."""
        return bool(self.looser) or any(change.direction != "tighter" for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "old_hash": self.old_hash,
            "new_hash": self.new_hash,
            "loosened": self.loosened,
            "looser": [_plain(item) for item in self.looser],
            "tighter": [_plain(item) for item in self.tighter],
            "settings": [
                {name: getattr(item, name) for name in ("tool", "setting", "direction", "old", "new")}
                for item in self.changes
            ],
            "tried": [
                {
                    name: getattr(item, name)
                    for name in ("tool", "calls", "fields", "pairs", "covered", "same")
                }
                | {"unvaried": list(item.unvaried)}
                for item in self.tried
            ],
            "not_proven": list(self.not_proven),
        }

    def lines(self) -> Iterator[str]:
        """The same for a terminal."""
        yield from _section("LOOSER: so in NEW, not in OLD", self.looser)
        yield from _settings("LOOSER settings", [c for c in self.changes if c.direction == "looser"])
        yield from _settings(
            "CHANGED settings: look at them", [c for c in self.changes if c.direction == "changed"]
        )
        yield from _section("tighter: so in OLD, no longer in NEW", self.tighter)
        yield from _settings("tighter settings", [c for c in self.changes if c.direction == "tighter"])
        if not self.loosened:
            yield "no loosening found"
        yield ""
        total = sum(item.calls for item in self.tried)
        yield f"{total:,} calls tried on {_count(len(self.tried), 'tool')}; this is a search, not a proof"
        for item in self.tried:
            pairs = f"{item.covered:,} of {item.pairs:,} pairs of values"
            yield f"  {item.tool}: " + (
                "means the same in both"
                if item.same
                else f"{item.calls:,} calls, {_count(item.fields, 'field')}, {pairs}"
            )
            for text in item.unvaried:
                yield f"    not varied well: {text}"
        for text in self.not_proven:
            yield f"  not proven: {text}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _plain(item: Loosening) -> dict[str, Any]:
    call: Mapping[str, Any] = {
        "tool": item.tool,
        "args": item.asked.call.plain_args(),
        "context": dict(item.asked.context),
        "tainted": item.asked.tainted,
    }
    return {
        "tool": item.tool,
        "kind": item.kind,
        "call": call,
        "fits_schema": item.fits,
        "old": as_dict(item.asked.call, item.old),
        "new": as_dict(item.asked.call, item.new),
    }


def _section(title: str, items: Sequence[Loosening]) -> Iterator[str]:
    if not items:
        return
    yield title
    kinds: dict[tuple[str, str], list[str]] = {}
    for item in items:
        kinds.setdefault((item.tool, _written(item.asked)), []).append(KINDS[item.kind])
    for item in items:
        # One call can show several kinds; it is printed once.
        several = kinds.pop((item.tool, _written(item.asked)), None)
        if several is None:
            continue
        yield f"  {item.tool} {', '.join(several)}"
        more = "  (these arguments do not fit the tool's schema)" if item.fits is False else ""
        yield f"    call: {_written(item.asked)}{more}"
        yield from _told("OLD", item.old)
        yield from _told("NEW", item.new)


def _written(asked: Asked) -> str:
    """As `policy explain --call` takes it."""
    parts: dict[str, Any] = {"tool": asked.call.tool, "args": asked.call.plain_args()}
    if asked.context:
        parts["context"] = dict(asked.context)
    if asked.tainted:
        parts["tainted"] = True
    return json.dumps(parts, ensure_ascii=False)


def _told(name: str, verdict: Verdict) -> Iterator[str]:
    extra = f", from confidence {verdict.min_confidence:g}" if verdict.speculate == "now" else ""
    asks = f", confirm: {verdict.confirm}" if verdict.effect == "confirmation_required" else ""
    yield f"    {name}: {verdict.effect}, speculate: {verdict.speculate}{extra}{asks}"
    for reason in verdict.reasons:
        yield f"      {reason.code}: {reason.message}{f'  [{reason.where}]' if reason.where else ''}"


def _settings(title: str, items: Sequence[Change]) -> Iterator[str]:
    if items:
        yield title
    for item in items:
        yield f"  {item.tool + '.' if item.tool else ''}{item.setting}: {item.old} -> {item.new}"
