"""The sealer that the environment asks for."""

from __future__ import annotations

from collections.abc import Mapping

from specflow.errors import ConfigurationError
from specflow.sealing.keys import read_keys
from specflow.sealing.sealer import VARIABLE, Sealer


def sealer_of(environment: Mapping[str, str]) -> Sealer | None:
    """The sealer for the keys in `environment`; None when it holds none.

    Raises:
        ConfigurationError: a key cannot be used, or `cryptography` is not installed.
    """
    keys = read_keys(environment.get(VARIABLE, ""))
    if not keys:
        return None
    try:
        from specflow.sealing.aes_gcm import AesGcmSealer  # noqa: PLC0415 - cryptography is an extra
    except ImportError as error:
        raise ConfigurationError(
            f"{VARIABLE} is set, but the package cryptography is not installed",
            hint="pip install 'specflow[crypto]'",
        ) from error
    return AesGcmSealer(keys)
