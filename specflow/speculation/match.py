"""When two calls of a tool count as the same call."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from specflow.effects.call import Call
from specflow.policy.settings import Match


def match_key(call: Call, match: Match, *, writes: bool) -> str:
    """The key under which a call is registered and looked up; equal keys mean the same call.

    Writes always match exactly, whatever the policy says.
    """
    if writes or match.mode == "exact":
        return call.fingerprint
    kept = {name: value for name, value in call.args.items() if name not in match.ignore}
    return Call(tool=call.tool, args=normalised(kept, match)).fingerprint


def normalised(args: Mapping[str, Any], match: Match) -> dict[str, Any]:
    """The arguments with every field in the normal form that the policy names for it."""
    found = dict(args)
    for field, form in match.fields.items():
        normalise = FORMS.get(form)
        if normalise is not None and field in found:
            found[field] = normalise(found[field])
    return found


def _text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: change(value) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            number = int(value) if re.fullmatch(r"\s*[+-]?\d{1,15}\s*", value) else float(value)
        except ValueError:
            return value
        # "nan" and "1e999" are no numbers in JSON: they stay the words they are.
        return number if math.isfinite(number) else value
    return value


def _iso_date(value: str) -> str:
    """2026-12-12, 2026/12/12 and 20261212 are one date; anything else stays as it is."""
    found = re.fullmatch(r"\s*(\d{4})([-/.]?)(\d{2})\2(\d{2})\s*", value)
    return "-".join(found.group(1, 3, 4)) if found else value


FORMS: Mapping[str, Callable[[Any], Any]] = {
    "upper": _text(lambda value: value.strip().upper()),
    "lower": _text(lambda value: value.strip().lower()),
    "strip": _text(str.strip),
    "iso_date": _text(_iso_date),
    "number": _number,
}
"""The normal forms a policy can name."""
