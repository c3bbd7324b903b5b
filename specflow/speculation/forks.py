"""Starts a fork for each guess of a pending call's result, as the task of the guess's branch."""

from __future__ import annotations

import asyncio
import logging

from specflow.errors import NotEarlyError
from specflow.speculation.branch import Branch
from specflow.speculation.leftovers import Leftovers
from specflow.speculation.lookahead import Pace
from specflow.speculation.parts import Parts
from specflow.speculation.question import Question
from specflow.speculation.turn import Outlook

log = logging.getLogger("specflow")


class Forks:
    """The forks that are running, and from where each looks ahead."""

    def __init__(self, parts: Parts, leftovers: Leftovers) -> None:
        self._parts = parts
        self._leftovers = leftovers
        self._pace = Pace(parts.lookahead.starts)
        self._running: dict[Branch, Outlook] = {}

    def start(self, question: Question, branch: Branch) -> None:
        """Run the graph ahead from where the pending call has returned what `branch` presumes; once."""
        if self._parts.forker is None or question.origin is None or branch in question.forked or branch.lost:
            return
        question.forked.add(branch)
        running = self._run(question, branch)
        spawn = question.presumed[branch].turn.spawn.copy()
        task = asyncio.get_running_loop().create_task(running, context=spawn)
        branch.start(task, self._leftovers.cancel)

    def outlook(self, branch: Branch) -> Outlook | None:
        """The view from where the fork that is the task of `branch` goes on, while it does."""
        return self._running.get(branch)

    async def _run(self, question: Question, branch: Branch) -> None:
        forker, guess = self._parts.forker, branch.guess
        assert forker is not None
        assert guess is not None
        self._running[branch] = question.presumed[branch]
        try:
            await self._pace.step()
            await forker.run(branch, question.call, guess, question.origin)
        except NotEarlyError as error:
            log.debug("a fork after %s ends: %s", question.call.tool, error)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong ahead, the real run finds out for itself
            log.warning("a fork after %s failed: %r", question.call.tool, error)
        finally:
            del self._running[branch]
