"""A share of adopted reads is run again and compared: early results are not trusted for ever."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from specflow.effects.call import Call, NotJsonError, canonical_json
from specflow.effects.footprint import Keys
from specflow.effects.tool import Runner, ToolSpec
from specflow.execution.order import Order
from specflow.journal.event import EventKind
from specflow.journal.record import PredictionRow
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict
from specflow.speculation.keep import private
from specflow.speculation.leftovers import Leftovers
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.session import Session
from specflow.speculation.tell import Teller
from specflow.speculation.touch import disturbs, footprint_of

log = logging.getLogger("specflow")

WHILE_DEMOTED = 0.1
"""Share of the real calls of a demoted tool that are run again, where `verify_sample` is less."""

_CHANCE = 16**13


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """One read to be run again: `was` is what it said, of `keys`, from `since` on; `row` its statistics."""

    call: Call
    tool: ToolSpec
    settings: ToolSettings
    verdict: Verdict
    runner: Runner
    was: Any
    keys: Keys
    since: float
    row: PredictionRow | None = None


class Verifier:
    """Runs samples in the background of their session, within its budgets, and compares."""

    def __init__(self, parts: Parts, tell: Teller, leftovers: Leftovers) -> None:
        self._parts = parts
        self._tell = tell
        self._leftovers = leftovers

    def adopted(
        self, session: Session, speculation: Speculation, value: Any, row: PredictionRow | None
    ) -> None:
        """An early read was adopted: maybe run it again. `value` is what its caller gets."""
        settings, runner = speculation.settings, speculation.tool.runner
        if speculation.span is not None or runner is None or speculation.runner is not runner:
            return  # run again it would change something again; or it was made for a fork
        if not self._drawn(settings.verify_sample):
            return
        sample = _Sample(
            call=speculation.call,
            tool=speculation.tool,
            settings=settings,
            verdict=speculation.verdict,
            runner=runner,
            was=private(value),
            keys=speculation.footprint,
            since=speculation.started,
            row=row,
        )
        # The writes it may have met are still to be remembered.
        session.claimed.add(speculation)
        self._start(session, sample).add_done_callback(lambda _done: session.claimed.discard(speculation))

    def made(
        self, session: Session, call: Call, tool: ToolSpec, verdict: Verdict, *, value: Any, began: float
    ) -> None:
        """A real call has returned. Where its tool is demoted, maybe run it again and see."""
        demoted, settings = self._parts.demotions.holds(tool.name), self._parts.judge.settings(tool)
        runner = tool.runner
        if not demoted or disturbs(settings, verdict) or runner is None or tool.injected:
            return
        share = max(WHILE_DEMOTED, settings.verify_sample)
        if self._drawn(share):
            keys = footprint_of(settings, call.args, verdict, value)
            was = private(value)
            self._start(
                session,
                _Sample(
                    call=call,
                    tool=tool,
                    settings=settings,
                    verdict=verdict,
                    runner=runner,
                    was=was,
                    keys=keys,
                    since=began,
                ),
            )

    def _drawn(self, share: float) -> bool:
        """By the ids that are passed in: a seeded run draws the same again."""
        if share <= 0:
            return False
        return int(self._parts.ids.new("sample")[-32:][:13], 16) < share * _CHANCE

    def _fits(self, session: Session, sample: _Sample) -> bool:
        """Whether there is room for it among the early calls; real ones come first, always."""
        short = session.spending.short_of(
            sample.tool.name,
            sample.settings,
            self._parts.judge.budgets,
            live=session.pending,
            confidence=1.0,
            writes=False,
            depth=0,
            now=self._parts.clock.monotonic(),
        )
        return not short and len(session.background) <= self._parts.judge.budgets.max_concurrent

    def _start(self, session: Session, sample: _Sample) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._check(session, sample))
        # A read that changes something on its way is waited for by whatever it might meet.
        session.background[task] = None if sample.settings.writes else frozenset()
        task.add_done_callback(lambda done: session.background.pop(done, None))
        self._leftovers.see_off(task)
        return task

    async def _check(self, session: Session, sample: _Sample) -> None:
        # Looked at here, when the real call is over: it does not stand in the way of its own sample.
        parts, name = self._parts, sample.tool.name
        if not self._fits(session, sample):
            return None
        session.spending.wasted_usd += sample.settings.cost_usd
        order = Order(
            call=sample.call,
            tool=sample.tool,
            settings=sample.settings,
            verdict=sample.verdict,
            runner=sample.runner,
        )
        try:
            done = await parts.door.run(order, session.lease)
        except Exception as error:  # noqa: BLE001 - that a later call fails says nothing of the earlier one
            log.debug("a sample of %s failed: %s", name, error)
            return self._told(session, sample, "failed")
        same = _same(sample.tool, sample.was, done.value)
        if same is None:
            return self._told(session, sample, "unknown")
        if not same and session.writes.met(sample.keys, sample.since):
            # What the session has changed itself meanwhile explains it.
            return self._told(session, sample, "explained")
        if same:
            if parts.demotions.clean(name):
                log.warning("%s is called early again: its last samples were all the same", name)
            return self._told(session, sample, "same")
        if not parts.demotions.holds(name):
            log.warning(
                "an early result of %s differs from what the tool says now: it is not called early any more "
                "in this runtime (Runtime.reinstate, or a `version` in the policy)",
                name,
            )
        parts.demotions.diverged(name)
        return self._told(session, sample, "diverged")

    def _told(self, session: Session, sample: _Sample, outcome: str) -> None:
        kind = EventKind.DIVERGED if outcome == "diverged" else EventKind.VERIFIED
        speculation_id = sample.row.speculation_id if sample.row is not None else ""
        self._tell.see(
            kind,
            session,
            call=sample.call,
            verdict=sample.verdict,
            speculation_id=speculation_id,
            outcome=outcome,
        )
        if sample.row is not None and outcome == "diverged":
            self._tell.diverged(sample.row)


def _same(tool: ToolSpec, was: Any, now: Any) -> bool | None:
    """Whether two results count as the same; None where nobody can tell."""
    same = tool.annotation.same if tool.annotation is not None else None
    try:
        if same is not None:
            return bool(same(was, now))
        return canonical_json(was) == canonical_json(now)
    except NotJsonError:
        try:
            # Objects without an equality of their own are never equal: that says nothing.
            return True if was == now else None
        except Exception:  # noqa: BLE001 - arrays and other things that have no plain truth
            return None
    except Exception as error:  # noqa: BLE001 - the user's own function
        log.warning("the `same` of %s failed: %r", tool.name, error)
        return None
