"""What is in the runs of some files, what is missing, and what a replay will therefore not be able to say."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from specflow.traces.notes import Notes
from specflow.traces.recorded import RecordedRun, RecordedTurn

SHORTEST = 0.001
"""Seconds that a tool takes at least, in the distribution that is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something missing or odd. `grave` is what makes a replay's figures doubtful."""

    code: str
    count: int
    message: str
    means: str = ""
    places: tuple[str, ...] = ()
    grave: bool = True

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "level": "finding" if self.grave else "note",
            "count": self.count,
            "message": self.message,
            "means": self.means,
            "places": list(self.places),
        }


@dataclass(slots=True, kw_only=True)
class Survey:
    """Counts runs as they pass; keeps nothing of them but the names of tools and models."""

    runs: int = 0
    steps: int = 0
    timed: int = 0
    counted: int = 0
    reasoned: int = 0
    given: int = 0
    calls: int = 0
    defined: int = 0
    answered: int = 0
    without_tools: int = 0
    models: Counter[str] = field(default_factory=Counter)
    tools: Counter[str] = field(default_factory=Counter)
    undefined: Counter[str] = field(default_factory=Counter)
    took: int = 0
    _logs: float = 0.0
    _squares: float = 0.0

    def add(self, run: RecordedRun) -> None:
        """Count a run."""
        self.runs += 1
        self.models[run.model or "unknown"] += 1
        # A tool without a schema is not known: nothing says which calls of it would be valid.
        known = {_name(tool) for tool in run.tools if _schema(tool) is not None}
        called = 0
        for turn in run.turns:
            if turn.given:
                self.given += turn.role == "assistant"
            elif turn.role == "assistant":
                called += len(turn.calls)
                self._step(turn, known)
        self.without_tools += bool(called and not known)

    def _step(self, turn: RecordedTurn, known: set[str]) -> None:
        self.steps += 1
        self.timed += turn.gen_s is not None
        self.counted += turn.completion_tokens is not None
        self.reasoned += bool(turn.reasoning)
        self.answered += min(len(turn.results), len(turn.calls))
        for call in turn.calls:
            self.calls += 1
            self.tools[call.name] += 1
            self.defined += call.name in known
            if call.name not in known:
                self.undefined[call.name] += 1
        for result in turn.results:
            if result.seconds is not None:
                log = math.log(max(result.seconds, SHORTEST))
                self.took += 1
                self._logs += log
                self._squares += log * log

    @property
    def latency(self) -> str:
        """A distribution of the tools' own times for `--tool-latency`; empty where none were recorded.

        Median and sigma of the lognormal distribution with the mean and the deviation of the logarithms.
        """
        if not self.took:
            return ""
        mean = self._logs / self.took
        sigma = math.sqrt(max(0.0, self._squares / self.took - mean * mean))
        return f"lognormal:{math.exp(mean):.3g},{min(sigma, 4.0):.2f}"

    def findings(self, notes: Notes) -> list[Finding]:
        """What is missing and what was odd, the graver first."""
        found = [*self._missing(), *_odd(notes)]
        return sorted(found, key=lambda finding: not finding.grave)

    def _missing(self) -> list[Finding]:
        untimed, unknown = self.steps - self.timed, self.calls - self.defined
        names = ", ".join(name for name, _count in self.undefined.most_common(8))
        lacking = [
            Finding(
                code="no_times",
                count=untimed,
                message=f"{untimed} of {self.steps} steps have no recorded time",
                means="replay lets these steps speak 50 tokens a second: what it saves there says more about "
                "that than about your model",
            ),
            Finding(
                code="no_schemas",
                count=unknown,
                message=f"{unknown} of {self.calls} calls are of tools without a schema: {names}",
                means="replay starts none of them early and lets them take no time; "
                "`specflow traces convert --tools FILE` adds schemas",
            ),
            Finding(
                code="no_results",
                count=self.calls - self.answered,
                message=f"{self.calls - self.answered} of {self.calls} calls have no result",
                means="history cannot learn which arguments come from them",
                grave=False,
            ),
            Finding(
                code="no_reasoning",
                count=self.steps - self.reasoned,
                message=f"{self.steps - self.reasoned} of {self.steps} steps have no reasoning text",
                means="thinking that was not recorded gives the sniffer nothing to read",
                grave=False,
            ),
            Finding(
                code="no_tool_times",
                count=self.answered - self.took,
                message=f"{self.answered - self.took} of {self.answered} results have no time of the tool",
                means="with --tool-latency recorded they take the median of their tool"
                if self.took
                else "replay cannot take tool times from this record: say them with --tool-latency",
                grave=False,
            ),
        ]  # fmt: skip
        return [finding for finding in lacking if finding.count > 0]


_ODD = {
    "clock": (
        "{} times end before they begin",
        "they count as not recorded: two clocks, or one that was set back",
        True,
    ),
    "same_id": (
        "{} records have the id of another one of their trace",
        "the first one counts: look which of them is right",
        True,
    ),
    "changed_tool": (
        "{} tools are described in two ways within a run",
        "the first description counts for all its steps",
        True,
    ),
    "no_model": (
        "{} traces hold runs of tools, but no request to a model",
        "they make no run: export the spans of the model too",
        True,
    ),
    "stray_results": ("{} results answer no call that is there", "they are left out", False),
    "no_request": ("{} traces hold no request to a model that can be seen", "they make no run", False),
    "repeated": ("{} records are there twice, word for word", "each counts once", False),
    "orphans": (
        "{} records name a parent that is in no file",
        "they are used; the export may be incomplete",
        False,
    ),
    "nested": (
        "{} requests to a model stand inside another one",
        "a framework and its client recorded the same request: the outer one counts",
        False,
    ),
    "unanswered": ("{} requests have no answer", "they failed or were broken off, and are no steps", False),
}  # fmt: skip


def _odd(notes: Notes) -> list[Finding]:
    found = [
        Finding(
            code=code,
            count=notes.odd[code],
            message=message.format(notes.odd[code]),
            means=means,
            places=tuple(notes.places.get(code, ())),
            grave=grave,
        )
        for code, (message, means, grave) in _ODD.items()
        if notes.odd[code]
    ]
    if notes.left_out:
        message = f"{notes.left_out} records or runs were left out"
        places = tuple(str(broken) for broken in notes.broken)
        found.insert(0, Finding(code="left_out", count=notes.left_out, message=message, places=places))
    return found


def _name(tool: dict[str, Any]) -> str:
    return str(_function(tool).get("name", ""))


def _schema(tool: dict[str, Any]) -> object:
    return _function(tool).get("parameters")


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function", tool)
    return function if isinstance(function, dict) else {}
