"""What one tool is called and talks about, and what each of its parameters wants to be filled with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.prediction.dates import iso_date
from specflow.prediction.language import FAMILIES_OF, READING
from specflow.prediction.plain_schema import PlainSchema
from specflow.prediction.values import ValueKind
from specflow.prediction.words import name_words, stem, word_set

_NUMERIC = frozenset({"integer", "number"})
_EXAMPLE = re.compile("['\"`\u201c\u2018]([^'\"`\u201d\u2019\n]{1,60})['\"`\u201d\u2019]")
_BARE_EXAMPLE = re.compile(r"(?:e\.g\.?,?|for example|such as|like)\s+([A-Za-z0-9#_@.:-]{2,40})")
_ROLE_WORDS = {
    "from": "origin from source src start departure sender depart begin old current base origen "
    "origem von départ herkunft",
    "to": "destination to target dest end arrival recipient receiver dst arrive into new destino "
    "nach ziel arrivée",
    "on": "date day when datum fecha data",
    "in": "city location place country area region town where state address airport zone "
    "ciudad cidade stadt ville",
    "for": "passenger name person user customer guest client traveler traveller query q search term keyword "
    "keywords topic text subject for who participant attendee",
}
_PEOPLE = word_set(
    """passenger name person customer guest client traveler traveller author owner attendee who city location
    place country region town title company artist recipient participant hotel airport restaurant"""
)
_QUERIES = word_set("query q search term terms keyword keywords topic question prompt pattern")
_PATHS = word_set("path file filename filepath folder directory url uri link page repo repository document")
_IDS = word_set(
    """id ids code number no key sku ref reference uuid identifier slug token handle email username zip phone
    postcode"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One parameter: where its values come from and what they look like."""

    name: str
    words: frozenset[str]
    schema: Mapping[str, Any]
    required: bool
    type: str
    many: bool
    role: str
    shapes: frozenset[str]
    examples: frozenset[str]
    enum: tuple[Any, ...]
    is_date: bool
    is_id: bool
    is_name: bool
    is_query: bool
    is_path: bool
    rivals: frozenset[str] = frozenset()
    """Words of identifiers that other tools take: a value called so is not this slot's."""
    alone: bool = False
    """Whether it is the tool's only required parameter of its type."""
    others: frozenset[str] = frozenset()
    """Words of the tool's other parameters that share none with this one's."""
    coded: bool = False
    """Whether it wants a code, which a name may stand for."""
    takes: frozenset[ValueKind] = frozenset()
    """The kinds of values that may suit it; of any other kind none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolWords:
    """One tool: its verbs' families, its objects, and its slots."""

    spec: ToolSpec
    families: frozenset[str]
    verbs: frozenset[str]
    objects: tuple[str, ...]
    described: frozenset[str]
    reads: bool
    slots: tuple[Slot, ...]
    plain: PlainSchema
    required: frozenset[str]
    fewest: int
    """Values that a sentence needs before all required arguments can be in it; enumerated ones are words."""


@lru_cache(maxsize=4096)
def shape(text: str) -> str:
    """The outline of an identifier: letters, digits and signs as classes, with lengths where they tell.

    Upper-case codes keep their length (`X6`) and so do plain numbers; runs inside other texts do not.
    """
    if re.fullmatch(r"[A-Z0-9]+", text) and not text.isdigit():
        return f"{'A' if text.isalpha() else 'X'}{len(text)}"
    if text.isdigit():
        return f"9{{{len(text)}}}"
    outline = re.sub(r"[A-Z]+", "A", re.sub(r"\d+", "9", text[:64]))
    return re.sub(r"[a-z]+", "a", outline)


def tool_words(spec: ToolSpec) -> ToolWords:
    words = name_words(spec.name)
    described = name_words(spec.description[:400])
    verb_at = next((at for at, word in enumerate(words) if word in FAMILIES_OF), None)
    if verb_at is not None:
        families = FAMILIES_OF[words[verb_at]]
        verbs = frozenset({stem(words[verb_at])})
    else:
        families = next(
            (FAMILIES_OF[_base(word)] for word in described[:2] if _base(word) in FAMILIES_OF), frozenset()
        )
        # A name without a verb we know may begin or end with one of another language.
        verbs = frozenset(stem(word) for word in words) if len(words) > 1 else frozenset()
    objects = [
        stem(word)
        for at, word in enumerate(words)
        if at != verb_at and word not in {"by", "all", "the", "of"}
    ]
    effect = spec.annotation.effect if spec.annotation else None
    reads = effect is EffectClass.READ_ONLY if effect else bool(families & READING) or not families
    slots = tuple(_slot(spec, name, schema) for name, schema in spec.properties.items())
    return ToolWords(
        spec=spec,
        families=families,
        verbs=verbs,
        objects=tuple(dict.fromkeys(objects)),
        described=frozenset(stem(word) for word in described if len(word) > 3),
        reads=reads,
        slots=slots,
        plain=PlainSchema(spec.parameters),
        required=frozenset(slot.name for slot in slots if slot.required),
        fewest=sum(slot.required and not slot.enum for slot in slots),
    )


def _base(word: str) -> str:
    if word in FAMILIES_OF:
        return word
    return word[:-2] if word.endswith("es") and word[:-2] in FAMILIES_OF else word.removesuffix("s")


def _slot(spec: ToolSpec, name: str, schema: Mapping[str, Any]) -> Slot:
    words = name_words(name)
    many = _type(schema) == "array"
    items = schema.get("items") if many else schema
    inner: Mapping[str, Any] = items if isinstance(items, Mapping) else {}
    about = str(schema.get("description", ""))[:400]
    examples = [
        *_EXAMPLE.findall(about),
        *_BARE_EXAMPLE.findall(about),
        *map(str, schema.get("examples") or ()),
    ]
    is_date = (
        inner.get("format") in {"date", "date-time"}
        or "yyyy-mm-dd" in about.lower()
        or any(map(iso_date, examples))
        or bool({"date", "day"} & set(words))
    ) and _type(inner) == "string"
    enum = inner.get("enum")
    shapes = frozenset(shape(text) for text in examples if " " not in text and not iso_date(text))
    role = next((role for role, known in _ROLE_WORDS.items() if set(words) & set(known.split())), "")
    return Slot(
        name=name,
        words=frozenset(
            stem(word) for word in words if word not in {"id", "ids", "number", "code", "of", "the"}
        ),
        schema=schema,
        required=name in spec.required,
        type=_type(inner) or "string",
        many=many,
        role="on" if is_date and role == "" else role,
        shapes=frozenset() if is_date else shapes,
        examples=frozenset(examples),
        enum=tuple(enum) if isinstance(enum, list) else (),
        is_date=is_date,
        is_id=bool(_IDS & set(words)) or any("9" in text or "X" in text for text in shapes),
        is_name=bool(_PEOPLE & set(words)),
        is_query=bool(_QUERIES & set(words)),
        is_path=bool(_PATHS & set(words)) or inner.get("format") in {"uri", "uri-reference", "iri"},
    )


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), None)
    if kind is None:
        options = schema.get("anyOf") or schema.get("oneOf") or ()
        kinds = [option.get("type") for option in options if isinstance(option, Mapping)]
        kind = next((item for item in kinds if isinstance(item, str) and item != "null"), None)
    return kind if isinstance(kind, str) else ""


def among(tool: ToolWords, slot: Slot, called: frozenset[str]) -> Slot:
    slot = replace(slot, coded=_coded(slot))
    return replace(
        slot,
        rivals=called - slot.words,
        others=_others(tool, slot),
        alone=_alone(tool, slot),
        takes=frozenset(_takes(slot)),
    )


def _coded(slot: Slot) -> bool:
    return (slot.is_id and bool(slot.shapes)) or any(
        outline[:1] in {"A", "X"} and outline[1:].isdigit() for outline in slot.shapes
    )


def _takes(slot: Slot) -> Iterator[ValueKind]:
    if slot.is_date:
        yield ValueKind.DATE
    elif slot.type in _NUMERIC:
        yield ValueKind.NUMBER
    elif not slot.enum and slot.type in {"string", "array"}:
        shaped = bool(slot.shapes)
        suits = {
            ValueKind.IDENTIFIER: slot.is_id or not slot.is_name,
            ValueKind.NUMBER: slot.is_id or shaped,
            ValueKind.CODE: True,
            ValueKind.NAME: slot.coded or not (slot.is_id or "pattern" in slot.schema),
            ValueKind.QUOTED: not shaped,
            ValueKind.PATH: shaped or slot.is_path or slot.is_id,
            ValueKind.TIME: shaped or "tim" in slot.words,
        }
        yield from (kind for kind, may in suits.items() if may)


def _alone(tool: ToolWords, slot: Slot) -> bool:
    kind = _NUMERIC if slot.type in _NUMERIC else {slot.type}
    return slot.required and sum(other.required and other.type in kind for other in tool.slots) == 1


def _others(tool: ToolWords, slot: Slot) -> frozenset[str]:
    apart = (other.words for other in tool.slots if other is not slot and not other.words & slot.words)
    return frozenset().union(*apart)
