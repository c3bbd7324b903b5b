"""The bound: how long each step takes at best, computed from the record and the policy, not played.

One step ahead of the model, a call that the policy lets run early can start when its step begins. With a
model time G and a tool time T it then ends at max(G, T) instead of G + T; the calls of one message run
side by side. Everything that could slow a real run down (budgets, confidence, staleness, conflicts, wrong
guesses) is left out, so that no run under this policy can be faster.

Several steps ahead, a call may start when the first step since somebody has spoken begins: the bound of
chains, of guessed results, and of forks is the critical path with every guess right.

Who guesses no results makes no call before its values have been said, or a tool has answered them: that bound
(`known`) says how much of the other is within the reach of whoever knows the conversation alone.

With a `cache.ttl` a read may have been started in an earlier step, at most so many seconds before it is
adopted: of scope `session` since the user has last spoken, of a wider one in the whole run.

The bound is a run of its own, in which every step begins as early as it can. A step that begins later ends
later, whatever was started when; so (by induction) no step of any run ends before that of the bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.policy.settings import EARLY_TIMEOUT, Judge, ToolSettings
from specflow.policy.verdict import Speculate, Verdict
from specflow.replay.known import Known
from specflow.replay.latency import Latency
from specflow.replay.recorded_times import of_unlisted
from specflow.replay.sources import Sources
from specflow.replay.steps import Step
from specflow.replay.user_time import begins_run, pauses
from specflow.speculation.match import match_key

SLACK = 1e-6
"""Seconds by which a sum of seconds may be wrong."""


class Said(NamedTuple):
    """During which step a call was proposed; `after`: or after it, while the user took his time. So many
    `seconds` of the step had passed; below zero: so many were left until the next one began. None: the step
    alone counts, from its beginning.
    """

    place: int
    after: bool = False
    seconds: float | None = None


Guessed = Mapping[str, Sequence[Said]]
"""For each match key when such a call was proposed, in order."""


@dataclass(slots=True)
class _When:
    """A step of the bound's run: its `place`, and since which step calls may be under way that end with the
    model's turn (`alone`: but for chains its own), with the user's (`spoken`).

    `begins` are the seconds at which it and the steps before it begin. `soonest` and `over` are when they
    begin and end in the fastest run that anybody can think of: so little time has passed between two steps.
    `known` says when values are, where they are not known from the beginning.
    """

    place: int = 0
    alone: int = 0
    spoken: int = 0
    known: Known | None = None
    begins: list[float] = field(default_factory=list)
    soonest: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The oracle of one policy for one run, whose user takes so many seconds to answer; with `outlives` false
    had every read ended when the user speaks, at the latest.
    """

    registry: ToolRegistry
    judge: Judge
    latency: Latency
    user_takes: float = 0.0
    outlives: bool = True

    def steps(
        self,
        steps: Sequence[Step],
        guessed: Guessed | None = None,
        *,
        chained: bool = False,
        sources: Sources | None = None,
    ) -> tuple[float, ...]:
        """Seconds that each step takes where every step ends as early as it can, with every allowed call
        guessed at once; `chained`: several steps ahead; with `sources` no earlier than its values are known.

        With `guessed` only what was proposed starts early: at the beginning of the first step in which it
        was, or when it was said in that step, where that is given; or in the first from which it can still be
        good where it is called.
        """
        took: list[float] = []
        when = _When(known=None if sources is None else Known(sources, self._quickest))
        for place, (step, pause) in enumerate(zip(steps, pauses(steps, self.user_takes), strict=True)):
            when.place = place
            when.begins.append(when.begins[-1] + took[-1] + pause if took else 0.0)
            when.soonest.append(when.over[-1] + pause if took else 0.0)
            if begins_run(step):
                when.spoken = place
            if not chained or breaks(steps, place):
                when.alone = place
            if when.known is not None:
                when.known.begin(step, when.begins)
            ends = list(self._ends(step, when, guessed))
            took.append(max([step.seconds, *ends]))
            if when.known is not None:
                when.known.answer(step, ends)
            when.over.append(when.soonest[-1] + self._least(step, place))
        return tuple(took)

    def key(self, call: Call) -> str:
        """The key under which the coordinator looks the call up."""
        tool = self.registry.get(call.tool)
        if tool is None:
            return call.fingerprint
        return match_key(call, self.judge.settings(tool).match, writes=self._verdict(call).effect.writes)

    def _ends(self, step: Step, when: _When, guessed: Guessed | None) -> Iterator[float]:
        taken: set[str] = set()
        for call in step.calls:
            best = step.seconds + self._alone(call, when.place)
            # One speculation answers one call: of two equal calls the second is made for real. But one that
            # lives on may answer several.
            if self._may_be_early(call) and (call.fingerprint not in taken or self._ttl(call) is not None):
                taken.add(call.fingerprint)
                for first, begun in self._begun(call, step, when, guessed):
                    best = min(best, max(step.seconds, self._early(call, step, when, first, begun)))
            yield best

    def _least(self, step: Step, place: int) -> float:
        """Seconds that the step takes at least, however much of it was done before."""
        real = (self._alone(call, place) for call in step.calls if not self._may_be_early(call))
        return step.seconds + max(real, default=0.0)

    def _begun(
        self, call: Call, step: Step, when: _When, guessed: Guessed | None
    ) -> Iterator[tuple[int, float]]:
        """The steps in which the call's early twin can have been started, and when: of those in which it is
        started when they begin the first alone.
        """
        ttl, first = self._ttl(call), when.alone
        if ttl is not None:
            wide = self.judge.settings(self.registry.require(call.tool)).outlives_run
            first = 0 if wide and self.outlives else min(first, when.spoken)
        if guessed is None:
            yield first, when.begins[first]
            return
        asked = when.soonest[when.place] + step.seconds
        for place, after, seconds in guessed.get(self.key(call), ()):
            if place != when.place:
                if not first <= place < when.place:
                    continue
                # Proposed in its last moment, it is good for longest.
                last = when.soonest[place + 1] if after else when.over[place]
                if ttl is not None and asked - last > ttl + SLACK:
                    continue
            if seconds is None:
                yield place, when.begins[place]
                return
            if place != when.place or not after:
                yield place, when.begins[place + (seconds < 0)] + seconds

    def _early(self, call: Call, step: Step, when: _When, first: int, begun: float) -> float:
        """Seconds after the step's beginning at which the call's early twin ends at best, if it was `begun`
        then, in step `first`, or later.
        """
        settings = self.judge.settings(self.registry.require(call.tool))
        if settings.match.mode != "exact" and not self._verdict(call).effect.writes:
            # Another spelling of the call may be adopted, with a time of its own.
            return 0.0
        seconds = self._least_of(call, first, when.place)
        ttl, patience = self._ttl(call), settings.timeout or EARLY_TIMEOUT
        # When the real run adopts it, it must be young enough; and if it takes longer than its patience,
        # which is renewed then, it must not have been given up before.
        age = min(inf if ttl is None else ttl, patience if seconds > patience else inf)
        if when.known is not None:
            begun = max(begun, when.known.since(call, len(step.history), first))
        return max(begun - when.begins[when.place], step.seconds - age) + seconds

    def _least_of(self, call: Call, first: int, last: int) -> float:
        """Seconds that a call takes at least that is begun in one of these steps: what was started in an
        earlier one may have been as quick as the same call was there.
        """
        return min(self.latency(call, place) for place in range(first, last + 1))

    def _quickest(self, call: Call, first: int, last: int) -> float | None:
        """The same of the early twin of a call; None: it has none."""
        if not self._may_be_early(call):
            return None
        settings = self.judge.settings(self.registry.require(call.tool))
        exact = settings.match.mode == "exact" or self._verdict(call).effect.writes
        return self._least_of(call, first, last) if exact and first <= last else 0.0

    def _may_be_early(self, call: Call) -> bool:
        """Whether an early call may answer it at all."""
        tool = self.registry.get(call.tool)
        if tool is None:
            return False
        settings, verdict = self.judge.settings(tool), self._verdict(call)
        if settings.match.mode != "exact" and not verdict.effect.writes:
            # Another spelling of the call may be adopted, with a verdict of its own.
            return True
        return _allowed(verdict, settings) and not tool.problems(call.args)

    def _ttl(self, call: Call) -> float | None:
        """For how long an early twin may be kept for later, and for more than one; None: it is not."""
        tool = self.registry.get(call.tool)
        if tool is None or self._verdict(call).effect.writes:
            return None
        return self.judge.settings(tool).ttl

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
