"""The cipher: AES-256 in Galois/counter mode, under one or several keys."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from specflow.errors import SealedError
from specflow.sealing.keys import key_id
from specflow.sealing.sealer import VARIABLE

_VERSION = "1"
_NONCE = 12
"""Bytes, random: NIST SP 800-38D allows 2**32 texts under one key with these."""


class AesGcmSealer:
    """Fulfils `specflow.sealing.sealer.Sealer`. The first of `keys` (32 bytes each) seals, all open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._first = key_id(keys[0])

    def seal(self, secret: bytes, subject: bytes) -> str:
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._ciphers[self._first].encrypt(nonce, secret, _bound(self._first, subject))
        return f"{_VERSION}:{self._first}:{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, box: str, subject: bytes) -> bytes:
        version, _, rest = box.partition(":")
        key, _, text = rest.partition(":")
        if version != _VERSION:
            raise SealedError("it is in a form that this specflow does not know", hint="use a newer specflow")
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise SealedError(
                f"it is sealed under the key {key[:8]!r}, and {VARIABLE} holds {', '.join(self._ciphers)}",
                hint=f"add the key it was sealed with to {VARIABLE}, after a comma",
                key=key[:8],
            )
        try:
            sealed = _bytes(text)
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(key, subject))
        except (InvalidTag, ValueError) as error:
            raise SealedError(
                "it was changed, or belongs to another effect or field, so it is not used", key=key
            ) from error

    def __repr__(self) -> str:
        """Without the keys."""
        return f"AesGcmSealer({', '.join(self._ciphers)})"


def _bytes(text: str) -> bytes:
    found = base64.b64decode(text, altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(found).decode() != text:
        raise ValueError("there is another way to write it")
    return found


def _bound(key: str, subject: bytes) -> bytes:
    return f"specflow {_VERSION} {key} ".encode() + subject
