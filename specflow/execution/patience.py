"""How long a try may take. While it runs it can be given time anew: a guess that became the real call."""

from __future__ import annotations

import asyncio
from typing import Any


class Patience:
    """`within` seconds for each try, counted from its start; None: as long as it likes."""

    def __init__(self, within: float | None) -> None:
        self.within = within
        self._renewal: asyncio.Future[None] | None = None

    def renew(self, within: float | None) -> None:
        """The try that is running has `within` seconds from now, and so has each one after it."""
        self.within = within
        if self._renewal is not None and not self._renewal.done():
            self._renewal.set_result(None)

    async def wait(self, body: asyncio.Future[Any]) -> bool:
        """Wait for the body. False: it took too long. Being cancelled leaves the body as it is."""
        while True:
            self._renewal = renewal = asyncio.get_running_loop().create_future()
            done, _ = await asyncio.wait(
                {body, renewal}, timeout=self.within, return_when=asyncio.FIRST_COMPLETED
            )
            if body in done:
                return True
            if not renewal.done():
                return False
