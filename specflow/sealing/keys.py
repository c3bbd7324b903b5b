"""Keys as text: made, read from the environment, and known by an id that gives nothing away."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets

from specflow.errors import ConfigurationError
from specflow.sealing.sealer import VARIABLE

KEY_BYTES = 32
PREFIX = "sfk1_"
"""Begins every key, so that people and scanners for leaked secrets know one when they see it."""


def new_key() -> str:
    """A fresh random key as text."""
    return PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip("=")


def key_id(key: bytes) -> str:
    """Eight hex digits that tell keys apart; no help in guessing one."""
    return hashlib.sha256(b"specflow key id" + key).hexdigest()[:8]


def read_keys(text: str) -> tuple[bytes, ...]:
    """The keys in `text`, separated by commas; none in a text that is empty.

    Raises:
        ConfigurationError: one of them is not a key. The message does not repeat it.
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    return tuple(_read(part, number) for number, part in enumerate(parts, start=1))


def _read(text: str, number: int) -> bytes:
    body = text.removeprefix(PREFIX)
    try:
        key = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not text.startswith(PREFIX) or len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{VARIABLE}: key {number} is not a key of specflow's",
            hint="make one with: specflow db new-key",
        )
    return key
