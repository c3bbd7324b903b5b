"""Calls that are pending, and what they are presumed to return.

A call to a tool, to another agent or to a person is pending until it returns. Guesses of its result open
branches: under each, predictors foresee what comes next and a fork may run the graph ahead. When it returns,
the branches that guessed right are confirmed, which commits nothing, and the others aborted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call
from specflow.errors import NotEarlyError
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.branch import Branch
from specflow.speculation.keep import private
from specflow.speculation.turn import Outlook


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Question:
    """One pending call. `trunk` is the branch "it returns", which is no guess; every guess has one under it.

    `outlook` is the view from where it was made, `presumed` that from where it has returned what a branch
    presumes. `origin` is the host's handle on the run that waits for it; `forked` says which branches have a
    fork. `over`: it has returned, or was given up.
    """

    call: Call
    writes: bool = False
    patient: bool = False
    origin: object = None
    outlook: Outlook | None = None
    trunk: Branch | None = None
    presumed: dict[Branch, Outlook] = field(default_factory=dict)
    forked: set[Branch] = field(default_factory=set)
    over: bool = False
    _result: asyncio.Future[Any] | None = None

    @property
    def guesses(self) -> list[ResultGuess]:
        """What is presumed."""
        return [branch.guess for branch in self.presumed if branch.guess is not None]

    async def result(self) -> Any:
        """What it returns, a private copy: for another one who would make the same read.

        Raises:
            NotEarlyError: it was given up.
            Exception: whatever it raised.
        """
        if self.over:
            raise NotEarlyError(f"{self.call.tool} is not pending any more")
        if self._result is None:
            self._result = asyncio.get_running_loop().create_future()
            # Retrieved here: nobody may be left to hear of a failure.
            self._result.add_done_callback(lambda done: done.cancelled() or done.exception())
        return private(await asyncio.shield(self._result))

    def hand_out(self, value: Any) -> None:
        """Let those who wait for it have what it returned."""
        if self._result is not None and not self._result.done():
            self._result.set_result(private(value))

    def let_down(self, error: BaseException) -> None:
        """Tell those who wait for it that it failed."""
        if self._result is not None and not self._result.done():
            failed = error if isinstance(error, Exception) else NotEarlyError(f"{self.call.tool}: {error!r}")
            self._result.set_exception(failed)
