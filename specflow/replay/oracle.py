"""The bound: how long each step takes at best, computed from the record and the policy, not played.

One step ahead of the model, a call that the policy lets run early can start when its step begins. With a
model time G and a tool time T it then ends at max(G, T) instead of G + T; the calls of one message run
side by side. Everything that could slow a real run down (budgets, confidence, staleness, conflicts, wrong
guesses) is left out, so that no run under this policy can be faster.

Several steps ahead, a call may start when the first step since somebody has spoken begins: the bound of
chains, of guessed results, and of forks is the critical path with every guess right.

With a `cache.ttl` a read may have been started in an earlier step, at most so many seconds before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.policy.settings import EARLY_TIMEOUT, Judge, ToolSettings
from specflow.policy.verdict import Speculate, Verdict
from specflow.replay.latency import Latency
from specflow.replay.recorded_times import of_unlisted
from specflow.replay.steps import Step
from specflow.speculation.match import match_key


@dataclass(frozen=True, slots=True)
class _When:
    """A step: its `place`, the seconds since the run began, at most, and those for which its calls may have
    been under way.
    """

    place: int
    elapsed: float
    lead: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The oracle of one policy for one run."""

    registry: ToolRegistry
    judge: Judge
    latency: Latency

    def steps(
        self, steps: Sequence[Step], guessed: Sequence[Set[str]] | None = None, *, chained: bool = False
    ) -> tuple[float, ...]:
        """Seconds that each step takes at least, with every allowed call guessed at once; `chained`: several
        steps ahead.

        With `guessed` (for each step the match keys of what was proposed during it), only what was
        guessed starts early; what may live on may have been guessed in an earlier step.
        """
        took: list[float] = []
        elapsed = 0.0
        known: set[str] = set()
        lead = 0.0  # seconds before the step in which its calls may have been started
        for place, step in enumerate(steps):
            lead = 0.0 if breaks(steps, place) or not chained else lead + took[-1]
            proposed = None if guessed is None else guessed[place]
            known |= proposed or set()
            ends = self._ends(step, _When(place, elapsed, lead), proposed, known)
            took.append(max([step.seconds, *ends]))
            elapsed += step.seconds + max((self._alone(call, place) for call in step.calls), default=0.0)
        return tuple(took)

    def key(self, call: Call) -> str:
        """The key under which the coordinator looks the call up."""
        tool = self.registry.get(call.tool)
        if tool is None:
            return call.fingerprint
        return match_key(call, self.judge.settings(tool).match, writes=self._verdict(call).effect.writes)

    def _ends(self, step: Step, when: _When, proposed: Set[str] | None, known: Set[str]) -> Iterator[float]:
        taken: set[str] = set()
        for call in step.calls:
            key, alone = self.key(call), self._alone(call, when.place)
            best = step.seconds + alone
            # One speculation answers one call: of two equal calls the second is made for real. But one that
            # lives on may answer several.
            if call.fingerprint not in taken or self._lives_on(call):
                taken.add(call.fingerprint)
                guessed = None if proposed is None else (key in proposed, key in known)
                early = self._early(call, when, guessed)
                if early is not None:
                    best = min(best, max(step.seconds, early))
            yield best

    def _early(self, call: Call, when: _When, guessed: tuple[bool, bool] | None) -> float | None:
        """Seconds after the step's beginning at which the call's early twin ends at best; None: has none."""
        tool = self.registry.get(call.tool)
        if tool is None:
            return None
        settings, verdict = self.judge.settings(tool), self._verdict(call)
        lives_on = self._lives_on(call)
        if guessed is not None and not (guessed[1] if lives_on else guessed[0]):
            return None
        if settings.match.mode != "exact" and not verdict.effect.writes:
            # Another spelling of the call may be adopted, with a time and a verdict of its own.
            return -when.lead
        if not _allowed(verdict, settings) or tool.problems(call.args):
            return None
        # What was started in an earlier step may have been as quick as the same call was there.
        begins = range(when.place + 1) if lives_on or when.lead else (when.place,)
        seconds = min(self.latency(call, step) for step in begins)
        if seconds > (settings.timeout or EARLY_TIMEOUT):
            return None  # given up early, then made for real
        return seconds - max(when.lead, min(settings.ttl, when.elapsed) if lives_on and settings.ttl else 0.0)

    def _lives_on(self, call: Call) -> bool:
        """Whether an early twin may be kept for later, and for more than one."""
        tool = self.registry.get(call.tool)
        kept = tool is not None and self.judge.settings(tool).ttl is not None
        return kept and not self._verdict(call).effect.writes

    def _alone(self, call: Call, place: int) -> float:
        """Seconds the call takes at least when the real run makes it itself."""
        tool = self.registry.get(call.tool)
        if tool is None:
            return of_unlisted(self.latency, call, place)
        if self._verdict(call).effect is EffectClass.DENY:
            return 0.0
        seconds = self.latency(call, place)
        timeout = self.judge.settings(tool).timeout
        return seconds if timeout is None else min(seconds, timeout)

    def _verdict(self, call: Call) -> Verdict:
        return self.judge.judge(self.registry.get(call.tool), call, context={})


def breaks(steps: Sequence[Step], place: int) -> bool:
    """Whether a step has nothing to do with the one before it: somebody has spoken, or it called nothing."""
    if place == 0 or not steps[place - 1].calls:
        return True
    new = steps[place].history[len(steps[place - 1].history) :]
    return any(item.role == "user" for item in new)


def _allowed(verdict: Verdict, settings: ToolSettings) -> bool:
    if verdict.speculate is not Speculate.NOW:
        return False
    return settings.undo is not None if verdict.effect.writes else True
