"""Keeping secrets: what the policy redacts can be stored so that only who has the key can read it."""

from __future__ import annotations

from typing import Protocol

VARIABLE = "SPECFLOW_JOURNAL_KEY"
"""The environment variable that holds the keys, separated by commas: the first seals, all open."""


class Sealer(Protocol):
    """Encrypts what the policy redacts, and gives it back.

    What is sealed for one `subject` is not opened for another: a text moved to another row is refused.
    Both are called on the path of a call, so neither may wait long.
    """

    def seal(self, secret: bytes, subject: bytes) -> str:
        """ASCII text that shows nothing of `secret` but a bound of its length."""
        ...

    def open(self, box: str, subject: bytes) -> bytes:
        """What `seal` was given.

        Raises:
            SealedError: it is not ours, not for this subject, or was changed; says which key it needs.
        """
        ...
