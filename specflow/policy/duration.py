"""Durations as people write them: `200ms`, `10s`, `5m`, `24h`, `7d`, or a number of seconds."""

from __future__ import annotations

import re

_TEXT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 366 * 86400.0
"""Seconds; anything longer is a slip of the pen."""


def seconds(value: object) -> float:
    """Seconds in `value`, more than 0 and at most `LONGEST`.

    Raises:
        ValueError: with what may be written instead.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a duration such as 200ms, 10s, 5m or 24h")  # noqa: TRY004 - pydantic reports it
    if isinstance(value, str):
        found = _TEXT.fullmatch(value)
        if found is None:
            raise ValueError("must be a duration such as 200ms, 10s, 5m or 24h")
        value = float(found[1]) * _SECONDS[found[2]]
    if not 0 < value <= LONGEST:
        raise ValueError("must be longer than nothing and no longer than 366d")
    return float(value)
