"""What was measured of a run, and the bound: what the best guesses could have reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class TimedCall:
    """One tool call of the model. Seconds; `to_action` from the model's start to the result."""

    call_id: str
    tool: str
    args: Mapping[str, Any]
    started: float = 0.0
    seconds: float = 0.0
    to_action: float = 0.0


@dataclass(slots=True, kw_only=True)
class TimedTurn:
    """One model call and the tools it asked for. Times in seconds of the run's own clock."""

    started: float
    model_seconds: float = 0.0
    calls: list[TimedCall] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One whole run. `answer` is the last thing the agent said, `world` the hash of what it left behind."""

    seconds: float
    answer: str
    world: str
    turns: tuple[TimedTurn, ...]
    confirmations: int

    @property
    def calls(self) -> tuple[TimedCall, ...]:
        """Every call in order."""
        return tuple(call for turn in self.turns for call in turn.calls)

    def as_json(self) -> dict[str, Any]:
        """What `--json` says about this run."""
        return {
            "seconds": round(self.seconds, 3),
            "answer": self.answer,
            "world": self.world,
            "confirmations": self.confirmations,
            "calls": [
                {
                    "tool": call.tool,
                    "time_to_action": round(call.to_action, 3),
                    "tool_seconds": round(call.seconds, 3),
                }
                for call in self.calls
            ],
        }


def bound_seconds(turns: Sequence[TimedTurn], early: Callable[[TimedCall], bool]) -> float:
    """How long the sequential run `turns` would take if every call that `early` allows had been guessed
    right at the moment its turn began.

    Per turn: tools that may run early overlap with the model, the others follow it; the calls of one
    turn run side by side.
    """
    total = 0.0
    for turn in turns:
        ahead = max((call.seconds for call in turn.calls if early(call)), default=0.0)
        after = max((call.seconds for call in turn.calls if not early(call)), default=0.0)
        total += max(ahead, turn.model_seconds + after)
    return total
