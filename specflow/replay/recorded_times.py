"""Tools that take as long in a replay as they did in the recorded run."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError
from specflow.replay.latency import MAX_SECONDS, RECORDED, Latency
from specflow.replay.steps import Step, answers
from specflow.traces.recorded import RecordedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTimes:
    """What tools took in all runs: where a call's own time is not recorded, the median of its tool counts,
    else that of all tools. No call takes longer than a day.
    """

    by_tool: Mapping[str, float]
    of_all: float

    def usual(self, tool: str) -> float:
        """Seconds of a call of which nothing is recorded."""
        return self.by_tool.get(tool, self.of_all)

    def on(self, steps: Sequence[Step]) -> RecordedLatency:
        """The latency of a run."""
        return RecordedLatency(self, steps)


def recorded_times(runs: Iterable[RecordedRun]) -> RecordedTimes:
    """What is recorded in these runs.

    Raises:
        ConfigurationError: nothing.
    """
    seconds: dict[str, list[float]] = {}
    for run in runs:
        for turn in run.turns:
            for call, result in zip(turn.calls, answers(turn), strict=True):
                if result is not None and result.seconds is not None:
                    seconds.setdefault(call.name, []).append(_within(result.seconds))
    if not seconds:
        raise ConfigurationError(
            f"no run records how long a tool took, so --tool-latency {RECORDED} has nothing to go by",
            hint="say a latency, for example --tool-latency 2s",
        )
    by_tool = {tool: median(took) for tool, took in seconds.items()}
    return RecordedTimes(by_tool=by_tool, of_all=median(one for took in seconds.values() for one in took))


@dataclass(slots=True)
class _Made:
    """When a call was made, by step, and how long it took; None where that is not recorded."""

    steps: list[int] = field(default_factory=list)
    took: list[float | None] = field(default_factory=list)


class RecordedLatency:
    """Seconds that each call of one run took.

    A call that begins in a step takes what it took when it was next made. Of equal calls in one message each
    takes the longest time of them: they ran side by side, and the message waited for it.
    """

    def __init__(self, times: RecordedTimes, steps: Sequence[Step]) -> None:
        self._times = times
        self._untimed = [
            call.tool
            for step in steps
            for call, took in zip(step.calls, step.took, strict=True)
            if took is None
        ]
        self._made: dict[str, _Made] = {}
        for number, step in enumerate(steps):
            for call, took in zip(step.calls, step.took, strict=True):
                made = self._made.setdefault(call.fingerprint, _Made())
                own = None if took is None else _within(took)
                if made.steps[-1:] == [number]:
                    before = made.took[-1]
                    made.took[-1] = max((one for one in (before, own) if one is not None), default=None)
                else:
                    made.steps.append(number)
                    made.took.append(own)

    def __call__(self, call: Call, step: int = 0, /) -> float:
        """Seconds of the call if it begins in that step."""
        made = self._made.get(call.fingerprint)
        took = None
        if made is not None:
            at = min(bisect_left(made.steps, step), len(made.steps) - 1)
            took = made.took[at]
        return self._times.usual(call.tool) if took is None else took

    def missing(self, tools: ToolRegistry) -> int:
        """How many calls of these tools have no time of their own."""
        return sum(tool in tools for tool in self._untimed)

    def recorded(self, call: Call, step: int) -> float | None:
        """Seconds that the call took which was made in that step; None where nobody knows."""
        made = self._made.get(call.fingerprint)
        return made.took[made.steps.index(step)] if made is not None and step in made.steps else None


def of_unlisted(latency: Latency, call: Call, step: int) -> float:
    """Seconds of a call of a tool that the run does not list: those that are recorded, else none, since the
    framework may have answered it.
    """
    recorded = latency.recorded(call, step) if isinstance(latency, RecordedLatency) else None
    return recorded or 0.0


def _within(seconds: float) -> float:
    return min(seconds, MAX_SECONDS)
