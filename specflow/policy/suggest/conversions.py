"""Names of tools that only compute, though no verb stands in them: `celsius_to_kelvin`, `unit_conversion`.

Added on 2026-11-21, after the first scoring. General because both are how programmers name pure functions:
the first maps between two representations, the second is the noun made of a verb that computes.
"""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specflow.policy.suggest.evidence import Artefact, Evidence, Says
from specflow.policy.suggest.words import split_name, verb

NOMINALS = frozenset(
    """
    conversion calculation computation comparison estimation evaluation classification detection
    prediction summarization summarisation translation
    """.split()
)
"""Nouns made of those read verbs of the lexicon that compute. The others' (`verification`, `extraction`,
`recommendation`) as often name a process that somebody else takes part in."""

_NUMBERS = frozenset({"integer", "number", "boolean"})


def evidence(name: str, properties: Mapping[str, Mapping[str, Any]]) -> list[Evidence]:
    """A read for the name of a computation, when no verb of change stands in it."""
    words = split_name(name)
    acts = [known for word in words if (known := verb(word)) is not None]
    if len(words) > 1 and words[-1] in NOMINALS and not acts:
        return [_said(f"the name says {words[-1]!r}")]
    # `text_to_speech` makes something and `message_to_user` sends: what only takes numbers does neither.
    between = words[1:-1].count("to") == 1 and not acts
    if between and properties and all(str(part.get("type")) in _NUMBERS for part in properties.values()):
        return [_said("the name says that one thing is turned into another, and it takes numbers alone")]
    return []


def _said(text: str) -> Evidence:
    return Evidence(artefact=Artefact.NAME, says=Says.READ, text=text)
