"""How long a call may take: each try, all of them on record, and what is left of that when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.clock import Clock
from specflow.errors import ToolTimeoutError
from specflow.execution.attempt import longest
from specflow.execution.order import Order
from specflow.policy.settings import EARLY_TIMEOUT

LATE = 1.0
"""Seconds after which a call that is on record may begin without its time being cut."""

UNBOUNDED = 60.0
"""Seconds for which a request may still be travelling when its tool has no `timeout`: until then the answer
that it did not happen is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRecord:
    """A call as the journal knows it before it is made.

    `rev` is the revision of its row. `until` is when it has to be over (or to have begun, if it may take as
    long as it likes), in seconds since the epoch: after that others believe that it did not happen. `again`:
    it is a repetition.
    """

    until: float
    rev: int = 1
    again: bool = False


def limit(order: Order) -> float | None:
    """Seconds that each try may take; None: as long as it likes."""
    return order.settings.timeout or (EARLY_TIMEOUT if order.early else None)


def retries_of(order: Order) -> int:
    """Further tries of a write: without a key each could be one more effect; what is rolled back is none."""
    settings = order.settings
    return settings.retries if settings.idempotency_key or settings.transaction else 0


def seconds_of(order: Order) -> float | None:
    """Seconds until the last try of a write is over; None: nobody can say."""
    within = limit(order)
    return None if within is None else longest(within, retries_of(order), order.settings.backoff)


def travelling(seconds: float | None) -> float:
    """Seconds for which a write that may take `seconds` (None: nobody can say) can be under way once it is on
    record.
    """
    return UNBOUNDED if seconds is None else LATE + seconds


def left(order: Order, on_record: OnRecord, clock: Clock) -> float | None:
    """Seconds that each try may take now, so that the call is over when the journal says so.

    Raises:
        TooLateError: there are none: since it was put on record the process was stopped, or the journal slow.
    """
    within, seconds = limit(order), seconds_of(order)
    # INVARIANT: I18, whoever waited until then and heard that it did not happen is right for ever.
    remaining = on_record.until - clock.wall() - (seconds or 0.0) + (within or 0.0)
    if remaining <= 0.0:
        raise too_late(order.tool.name, within or UNBOUNDED)
    return None if within is None else min(within, remaining)


class TooLateError(ToolTimeoutError):
    """A call was not made, because its time was over before it could begin."""


def too_late(tool: str, within: float) -> TooLateError:
    """The error for a call that comes too late to be made: whoever asks after it believes it over."""
    return TooLateError(
        f"{tool} was not called: its {within:g} s were over before it could be",
        hint="look at the journal's database, or at what stopped this process",
        tool=tool,
        within=within,
    )
