"""A moment as other programs write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from specflow.traces.said import MalformedError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(value: object) -> int | None:
    """A time as nanoseconds since the epoch: ISO 8601 (UTC where nothing is said), or milliseconds.

    Raises:
        MalformedError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**43:
        return round(value * 1_000_000)
    if not isinstance(value, str):
        raise MalformedError(f"{str(value)[:40]!r} is no time")
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        found = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{value[:40]!r} is no time") from error
    if not 0 <= found < 2**63:
        raise MalformedError(f"{str(value)[:40]!r} is no time of this age")
    return found
