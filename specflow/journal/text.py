"""Values as text the way every journal stores them, so that no two journals differ in what comes back.

JSON is written in ASCII: NUL characters and lone surrogates, which databases refuse, survive inside it.
Free text loses them; identifiers that carry them are refused, because two could become one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from specflow.errors import JournalError

LONGEST_NOTE = 4096
"""Characters kept of an error or a cause: enough to read, too little to fill a disk."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def dump(value: object, what: str) -> str:
    """JSON text that gives `value` back exactly.

    Raises:
        JournalError: when it is not plain JSON; `what` names it in the message.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise JournalError(f"{what} cannot be written to the journal: not plain JSON: {error}") from error


def _mapping(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_mapping)


def load(text: str) -> Any:
    """The value that `dump` wrote."""
    return json.loads(text)


def note(text: str, most: int = LONGEST_NOTE) -> str:
    """Free text, storable everywhere and of bounded length."""
    if text.isascii() and "\x00" not in text and len(text) <= most:
        return text  # nearly every one; the regular expression takes ten times as long
    text = _UNSTORABLE.sub("\ufffd", text)
    return text if len(text) <= most else text[: most - 1] + "…"


def identifiers(values: Iterable[tuple[str, str | None]]) -> None:
    """Check (name, value) pairs that rows are found by.

    Raises:
        JournalError: for an empty one, or one that a database could not give back as it was.
    """
    for name, value in values:
        if value is None:
            continue
        if not value:
            raise JournalError(f"{name} is empty")
        if not (value.isascii() and "\x00" not in value) and _UNSTORABLE.search(value):
            raise JournalError(f"{name} {value!r} holds characters that no database keeps")
