"""Whether what an early read has read was changed since: its version, asked before it and at its adoption."""

from __future__ import annotations

import asyncio
import logging

from specflow.effects.call import Call, canonical_json
from specflow.errors import ConflictError
from specflow.execution.order import Order
from specflow.policy.settings import Version
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.race import allowance
from specflow.speculation.session import Session

log = logging.getLogger("specflow")

PATIENCE = 5.0
"""Seconds that the real run waits at most for a version. Never longer than the read itself may take."""


class Versions:
    """Asks for versions. A version that cannot be had is none, and equals none."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def before(self, session: Session, speculation: Speculation) -> None:
        """Ask just before the early read.

        Raises:
            ConflictError: there is none, so there is no use in reading.
        """
        version = speculation.settings.version
        if version is None:
            return
        speculation.version = await self._ask(session, speculation, version)
        if not speculation.version:
            name = speculation.tool.name
            raise ConflictError(f"{version.tool} does not tell the version for {name}", cause="no_version")

    async def same(self, session: Session, speculation: Speculation) -> bool:
        """Whether it is the same now that the real run wants the result."""
        version = speculation.settings.version
        if version is None:
            return True
        patience = min(PATIENCE, allowance(self._parts, speculation))
        try:
            async with asyncio.timeout(patience):
                now = await self._ask(session, speculation, version)
        except TimeoutError:
            return False
        return bool(now) and now == speculation.version

    async def _ask(self, session: Session, speculation: Speculation, version: Version) -> str:
        """The version as text; empty when there is none to be had."""
        parts = self._parts
        tool = parts.registry.get(version.tool)
        try:
            if tool is None or tool.runner is None or tool.injected:
                return ""
            names = {"args": speculation.call.args}
            args = {name: expression.evaluate(names) for name, expression in version.arguments.items()}
            call = Call(tool=tool.name, args=args)
            verdict = parts.judge.judge(tool, call, context=parts.context)
            if verdict.effect.writes:
                return ""
            settings = parts.judge.settings(tool)
            order = Order(call=call, tool=tool, settings=settings, verdict=verdict, runner=tool.runner)
            done = await parts.door.run(order, session.lease)
            return canonical_json(done.value)
        except Exception as error:  # noqa: BLE001 - whatever it is: nothing is known, so nothing is adopted
            log.debug("the version of %s cannot be had: %s", speculation.tool.name, error)
            return ""
