"""A real call is answered by an early result that was handed out before, or begun by somebody else."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from dataclasses import dataclass, replace

from specflow.effects.tool import ToolSpec
from specflow.execution.order import Done
from specflow.journal.event import Outcomes
from specflow.policy.settings import ToolSettings
from specflow.speculation.keep import private
from specflow.speculation.leftovers import Leftovers
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.race import Fresh, Won, first
from specflow.speculation.session import Session
from specflow.speculation.shelf import Offer, shareable
from specflow.speculation.version import Versions

log = logging.getLogger("specflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """An answer from the shelf; `outcome` hit or late, or miss where the call itself was quicker."""

    done: Done
    outcome: str
    speculation: Speculation


class Sharer:
    """Offers early reads of one event loop to others, and has theirs."""

    def __init__(self, parts: Parts, leftovers: Leftovers) -> None:
        self._parts = parts
        self._leftovers = leftovers
        self._versions = Versions(parts)

    def offer(self, session: Session, speculation: Speculation, context: contextvars.Context) -> None:
        """An early read was launched."""
        if shareable(speculation):
            self._parts.shelf.offer(
                Offer(
                    speculation=speculation,
                    session_id=session.session_id,
                    thread=session.key.thread,
                    tenant=self._parts.tenant,
                    loop=asyncio.get_running_loop(),
                    context=context,
                )
            )

    def has(self, session: Session, key: str, tool: ToolSpec, settings: ToolSettings) -> bool:
        """Whether another early read of that key would only repeat what can be had."""
        return bool(self._offers(session, key, tool, settings))

    async def answer(
        self, session: Session, key: str, tool: ToolSpec, settings: ToolSettings, fresh: Fresh
    ) -> Shared | None:
        """What somebody's early read says about the call, a copy of one's own; None when there is none.

        Raises:
            Exception: what `fresh` raised, which makes the call where the early read takes too long.
        """
        if session.mode is not Mode.ON:
            return None
        tried: set[Speculation] = set()
        # Looked for anew each time: while one was waited for, the others may have failed, or become stale.
        while offers := [o for o in self._offers(session, key, tool, settings) if o.speculation not in tried]:
            speculation = offers[0].speculation
            tried.add(speculation)
            with self._parts.shelf.awaited(speculation):
                won = await self._result(speculation, fresh)
                if won is not None and won.early and not await self._still(session, speculation):
                    won = None
            if won is None:
                continue
            if won.error is not None:
                raise won.error
            assert won.done is not None
            if not won.early:
                return Shared(done=won.done, outcome=Outcomes.MISS, speculation=speculation)
            speculation.answered += 1
            # INVARIANT: each has a copy of their own.
            done = replace(won.done, value=private(won.done.value))
            outcome = Outcomes.HIT if won.at_once else Outcomes.LATE
            return Shared(done=done, outcome=outcome, speculation=speculation)
        return None

    def _offers(self, session: Session, key: str, tool: ToolSpec, settings: ToolSettings) -> list[Offer]:
        if settings.ttl is None:
            return []
        offers = self._parts.shelf.take(
            key,
            settings=settings,
            session_id=session.session_id,
            thread=session.key.thread,
            tenant=self._parts.tenant,
            now=self._parts.clock.monotonic(),
        )
        return [offer for offer in offers if offer.speculation.tool == tool]

    async def _still(self, session: Session, speculation: Speculation) -> bool:
        """Whether it has the same version, and has met no write until that was known."""
        return await self._versions.same(session, speculation) and self._good(speculation)

    def _good(self, speculation: Speculation) -> bool:
        met = self._parts.shelf.met(speculation.footprint, speculation.started, speculation.span)
        return speculation.copied and not met

    async def _result(self, speculation: Speculation, fresh: Fresh) -> Won | None:
        work = speculation.work
        assert work is not None
        if work.done():
            return Won(early=True, done=work.result(), at_once=True)
        speculation.patience.renew(speculation.settings.timeout)

        def good() -> bool:
            return self._good(speculation)

        try:
            return await first(self._parts, speculation, fresh, good=good, lost=self._leftovers.cancel)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None  # the early read was cancelled, not this call
        except Exception as error:  # noqa: BLE001 - whatever went wrong early, the real run finds out for itself
            log.debug("early %s failed: %s", speculation.tool.name, error)
            return None
