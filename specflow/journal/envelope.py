"""How a value with hidden parts is stored in one JSON column, so that no value can be taken for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specflow.sealing.sealed import Sealed

MARK = "specflow:sealed"
"""The key of an envelope. A plain value that has it, too, is put into an envelope of its own."""


def pack(value: Any, sealed: Sealed | None) -> Any:
    """What to store for a value of which `sealed` says what is hidden; None: it is as it was given."""
    if sealed is not None:
        return {MARK: {"places": [list(place) for place in sealed.places], "box": sealed.box}, "value": value}
    # INVARIANT: what a model or a tool wrote is never read as an envelope of ours.
    if isinstance(value, Mapping) and MARK in value:
        return {MARK: None, "value": value}
    return value


def unpack(stored: Any) -> tuple[Any, Sealed | None]:
    """The value and what of it is hidden, as `pack` was given them."""
    if not isinstance(stored, dict) or stored.keys() != {MARK, "value"}:
        return stored, None
    mark, value = stored[MARK], stored["value"]
    if mark is None:
        return value, None
    return value, Sealed(places=mark["places"], box=mark["box"])
