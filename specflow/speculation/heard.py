"""Errors of work that nobody may come to wait for."""

from __future__ import annotations

import asyncio
from typing import Any


def heard(work: asyncio.Task[Any]) -> None:
    """Retrieve how it failed, so that asyncio does not report what nobody wanted, or waited for, any more."""
    if not work.cancelled():
        work.exception()
