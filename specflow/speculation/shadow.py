"""Calls of tools that a fork makes: answered, joined, or started early as far as the policy allows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import Runner, ToolSpec
from specflow.errors import NotEarlyError
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import HistoryItem
from specflow.speculation.branch import Branch
from specflow.speculation.fork import FORK
from specflow.speculation.forks import Forks
from specflow.speculation.keep import private
from specflow.speculation.launch import Launcher
from specflow.speculation.match import match_key
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.presume import Presumer
from specflow.speculation.session import Session
from specflow.speculation.taint import taken_from_results


class Shadows:
    """The calls of forks, on their way into the pending table."""

    def __init__(self, parts: Parts, launcher: Launcher, presumer: Presumer, forks: Forks) -> None:
        self._parts = parts
        self._launcher = launcher
        self._presumer = presumer
        self._forks = forks

    async def call(
        self,
        session: Session,
        branch: Branch,
        call: Call,
        tool: ToolSpec,
        runner: Runner,
        *,
        step: int = 1,
        origin: object = None,
        history: Sequence[HistoryItem] | None = None,
    ) -> Any:
        """Make one call of the fork that is the task of `branch`; returns a private copy of its result.

        Where a branch above presumes what the very call returns, that answers it. A read that the real run
        is just making is joined. Anything else is started early under the branch, if it may be, in a task of
        its own: when the real run takes it over, it goes on although the fork is ended. `step` counts the
        messages of the model inside the fork, from 1: the calls of the first are expected in the next turn,
        those of the second in the one after. `origin` is the fork's own handle, for forks of the fork;
        `history` the conversation that its model has read.

        Raises:
            NotEarlyError: it must not run early, or it came to nothing.
            Exception: what the real run's own call raised, where that was joined.
        """
        for above in branch.path:
            if above.guess is not None and above.call == call:
                return private(above.guess.value)
        settings = self._parts.judge.settings(tool)
        key = match_key(call, settings.match, writes=False)
        real = self._presumer.pending_read(session, key)
        if real is not None:
            return await real.result()
        outlook = self._forks.outlook(branch)
        if outlook is None or branch.lost:
            raise NotEarlyError(f"{call.tool}: the fork has ended")
        under = self._step(branch, step)
        # INVARIANT: whoever chose it, a value out of a tool's result is tainted in a fork, too.
        read = outlook.context.history if history is None else history
        candidate = taken_from_results(Candidate(call=call, confidence=1.0, predictor=FORK), read)
        speculation = self._launcher.consider(outlook.under(under), candidate, tool, runner)
        if speculation is None or speculation.work is None:
            raise NotEarlyError(f"{call.tool} must not run early")
        self._go_on_from(branch, step, under, speculation)
        self._presumer.promoted(speculation, origin)
        try:
            done = await asyncio.shield(speculation.work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise NotEarlyError(f"the early {call.tool} was cancelled") from None
        except Exception as error:
            # A failure is never adopted: what the real call will do, nobody knows.
            raise NotEarlyError(f"the early {call.tool} failed: {error!r}") from error
        return private(done.value)

    @staticmethod
    def _go_on_from(branch: Branch, step: int, under: Branch, speculation: Speculation) -> None:
        """What comes after this call is made under the hypothesis that it is real.

        Raises:
            NotEarlyError: it is an early write of somebody else.
        """
        # INVARIANT: under one of the fork's own, and not of those whose read it has joined.
        home = next((home for home in speculation.homes if home.parent is under), None)
        if home is not None:
            branch.steps[step] = home
        elif speculation.writes:
            raise NotEarlyError(f"{speculation.tool.name} is under way for somebody else")

    @staticmethod
    def _step(branch: Branch, step: int) -> Branch:
        """The hypothesis under which a call of that step is made: that the calls of the one before are real.

        Raises:
            NotEarlyError: they were not.
        """
        before = [branch.steps[number] for number in sorted(branch.steps) if number < step]
        if not before:
            return branch
        above = before[-1]
        if above.lost and above.state is not above.state.CONFIRMED:
            raise NotEarlyError("the real run went another way")
        return branch if above.lost else above
