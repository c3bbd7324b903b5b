"""Keeping leases while the process lives: every third of their length, by the writer, unasked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from specflow.errors import FencedError
from specflow.journal.batch import Failed
from specflow.journal.operations import Operation
from specflow.journal.record import Lease
from specflow.journal.session_operations import CloseSession, Release, Renew

log = logging.getLogger("specflow.journal")


class Renewals:
    """The leases that one journal granted and still holds. Used on the writer's thread only.

    `presence` is the token of the lock that shows that this process lives; empty when there is none.
    """

    def __init__(self, lease_seconds: float, presence: Callable[[], str]) -> None:
        self.lease_seconds = lease_seconds
        self._presence = presence
        self._held: dict[str, Lease] = {}
        self._due = 0.0

    @property
    def held(self) -> tuple[Lease, ...]:
        """All of them."""
        return tuple(self._held.values())

    def wait(self) -> float | None:
        """Seconds until renewal is due; None when nothing is held."""
        return max(0.0, self._due - time.monotonic()) if self._held else None

    def learn(self, operation: Operation, answer: object) -> None:
        """Take note of a lease granted, ended, or found lost."""
        if isinstance(answer, Lease):
            if not self._held:
                self._due = time.monotonic() + self.lease_seconds / 3
            self._held[answer.session_id] = answer
        elif isinstance(operation, CloseSession) and not isinstance(answer, Failed):
            self.drop([operation.lease])
        elif isinstance(operation, Release):
            self.drop(operation.leases)  # also when it failed: then they end by themselves
        elif isinstance(answer, Failed) and isinstance(answer.error, FencedError):
            lease = getattr(operation, "lease", None)
            if isinstance(lease, Lease):
                self.drop([lease])

    def operation(self) -> Renew:
        """The renewal of all that is held; the next one is due a third of the length later."""
        self._due = time.monotonic() + self.lease_seconds / 3
        return Renew(leases=self.held, lease_seconds=self.lease_seconds, presence=self._presence())

    def hurry(self) -> None:
        """Renew now: what the leases say of us has changed."""
        self._due = 0.0

    def lost(self, leases: Iterable[Lease]) -> None:
        """Somebody else has these sessions: say so once, and stop renewing them."""
        for lease in leases:
            log.warning(
                "session %s was taken over or ended elsewhere (our fence was %d): its writes are refused",
                lease.session_id,
                lease.fence,
            )
        self.drop(leases)

    def drop(self, leases: Iterable[Lease]) -> None:
        """Hold these no more, unless a newer lease of the session took their place."""
        for lease in leases:
            if self._held.get(lease.session_id) == lease:
                del self._held[lease.session_id]
