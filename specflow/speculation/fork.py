"""What runs a graph ahead on a guess. The graph layer has one; the core only starts and ends it."""

from __future__ import annotations

from typing import Protocol

from specflow.effects.call import Call
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.branch import Branch


class Forker(Protocol):
    """Runs what comes after a pending call, as if it had returned what is guessed."""

    async def run(self, branch: Branch, call: Call, guess: ResultGuess, origin: object) -> None:
        """The task of `branch`: cancelled when the branch is aborted, at the end of the run at the latest.

        `origin` is what the graph layer put on the pending call (`RealCall.origin`, or that of the shadow
        call). Tool calls made inside go through `Coordinator.shadow_call`; `NotEarlyError` ends the fork.
        What it raises is logged and hurts nobody.
        """
        ...


FORK = "fork"
"""The predictor of the calls that a fork makes, as policies, events and reports call it."""
