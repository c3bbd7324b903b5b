"""Reads made just before a call: which tool tells what was there, and where in its answer that stands."""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specflow.policy.lint.shape import fits, resolve, types_of
from specflow.policy.suggest import lexicon
from specflow.policy.suggest.docstring import result_text
from specflow.policy.suggest.names import act
from specflow.policy.suggest.subject import Subject
from specflow.policy.suggest.things import is_id_of, is_identifier, things_of
from specflow.policy.suggest.undo import Before, dotted
from specflow.policy.suggest.words import split_name

LOOKS = frozenset("get read fetch retrieve show view describe lookup look inspect".split())
"""Verbs of reads that give one thing."""
SEARCHES = frozenset("search find list query".split())
"""Verbs of reads that give the things that match."""

_WORDS_OF_TYPES = {
    "boolean": "boolean", "bool": "boolean", "string": "string", "str": "string", "text": "string",
    "integer": "integer", "int": "integer", "float": "number", "number": "number",
}  # fmt: skip

_Answer = tuple[str, Mapping[str, Any], tuple[str, ...]]
"""CEL for the answer, its schema, and notes on both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A read of what a call is about to change.

    `given` maps the reader's parameters to the call's own; `root` is CEL for its answer, shaped as `schema`.
    `exact`: its name speaks of the very same thing (`get_wifi_status`, `set_wifi_status`), of no larger one.
    """

    reader: Subject
    given: Mapping[str, str]
    root: str
    schema: Mapping[str, Any]
    exact: bool
    notes: tuple[str, ...] = ()

    @property
    def before(self) -> Before:
        """As it is written into a policy."""
        return Before(
            tool=self.reader.name, arguments={name: dotted("args", key) for name, key in self.given.items()}
        )


def readings(subject: Subject, others: Iterable[Subject], reads: frozenset[str]) -> list[Reading]:
    """The reads, of those proposed as read_only, that can be made with the call's own required arguments."""
    near = sorted((other for other in others if other.name in reads), key=lambda item: item.name)
    return [made for other in near if (made := _reading(subject, other)) is not None]


def _reading(subject: Subject, reader: Subject) -> Reading | None:
    _, nouns = act(subject.name)
    verb, told = act(reader.name)
    things = things_of(tuple(word for word in told if word not in lexicon.STATE_NOUNS))
    exact = things_of(told) == things_of(nouns)
    if verb not in LOOKS | SEARCHES or not (exact or (things and things <= things_of(nouns))):
        return None
    given = _given(subject, reader, things_of(told), exact=exact, searches=verb in SEARCHES)
    answer = _answer(reader, verb, exact=exact)
    if given is None or answer is None:
        return None
    root, schema, notes = answer
    if verb in SEARCHES:
        schema = _items(schema)
        # Out of range, and so an error that keeps the write from being made early, unless there is just one.
        root = f"{root}[size({root}) == 1 ? 0 : size({root})]"
        notes = (*notes, f"{reader.name} must find just one: else the call is not made early")
        if not schema.get("properties"):
            return None
    return Reading(reader=reader, given=given, root=root, schema=schema, exact=exact, notes=notes)


def _given(
    subject: Subject, reader: Subject, things: frozenset[str], *, exact: bool, searches: bool
) -> dict[str, str] | None:
    """Where each parameter of the read comes from; None when that, or which thing is meant, is not known."""
    wanted = sorted(reader.required)
    if searches:
        wanted += [name for name in reader.properties if name not in reader.required and is_identifier(name)]
    found: dict[str, str] = {}
    for name in wanted:
        # Parts of names are matched to be written into expressions: only plain ones can be.
        source = next((key for key in sorted(subject.required) if _same(name, key, things, exact=exact)
                       and _fits(subject.properties.get(key, {}), reader.properties.get(name, {}))
                       and dotted("args", key) and dotted("args", name)), "")  # fmt: skip
        if source:
            found[name] = source
        elif name in reader.required:
            return None
    # Without an argument it tells of the one thing there is, and only the same words say that it is this one.
    return found if found or (exact and not searches and not reader.required) else None


def _same(one: str, other: str, things: frozenset[str], *, exact: bool) -> bool:
    first, second = split_name(one), split_name(other)
    if first == second:
        # A bare `id` names whatever the tool is about.
        return bool(first) and (first != ["id"] or exact)
    return (first == ["id"] and is_id_of(other, things)) or (
        second == ["id"] and exact and is_id_of(one, things)
    )


def _answer(reader: Subject, verb: str, *, exact: bool) -> _Answer | None:
    if reader.opaque_result:
        return _words(reader, verb, exact=exact)
    if not reader.result:
        word = next(iter(split_name(result_text(reader.description[:20_000])[:200])), "")
        kind = _WORDS_OF_TYPES.get(word, "")
        note = f"uncertain: that {reader.name} returns a {kind} stands only in its description"
        return ("before", {"type": kind}, (note,)) if kind else None
    if reader.results_seen:
        count = (
            "one recorded result" if reader.results_seen == 1 else f"{reader.results_seen:,} recorded results"
        )
        note = f"uncertain: known from {count} of {reader.name}, which must return an object, not its text"
        return "before", reader.result, (note,)
    return "before", reader.result, ()


def _words(reader: Subject, verb: str, *, exact: bool) -> _Answer | None:
    """What an MCP server answers that declares no result: text, as far as anybody knows."""
    if exact and verb == "read" and "content" in reader.description.lower():
        note = f"uncertain: the first block of text that {reader.name} answers is taken for the whole"
        return "before", {"type": "string"}, (note,)
    return None


def _items(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    part = resolve(schema, schema)
    items = resolve(schema, part.get("items")) if part.get("type") == "array" else {}
    # References inside the items are looked up in the whole.
    return {**items, "$defs": schema.get("$defs", {})} if items else {}


def _fits(have: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return fits(types_of(have, resolve(have, have)), types_of(wanted, resolve(wanted, wanted)))
