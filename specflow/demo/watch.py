"""The runtime's events, put on a timeline and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from specflow.demo.timeline import Kind, Timeline, describe
from specflow.journal.event import CallEvent, EventKind, Outcomes

LOOKED_UP = frozenset({Outcomes.HIT, Outcomes.LATE, Outcomes.MISS, Outcomes.STALE})
"""How a real call can find what was started for it."""
UNUSED = frozenset({Outcomes.CANCELLED, Outcomes.COMPENSATED, Outcomes.STUCK})
"""How an early call ends that no real call came for."""


class Watch:
    """An observer of one speculative run.

    `outcomes` counts all of `Outcomes`; `launched` early calls; `undone` and `cancelled` are the calls
    that were started for nothing, as people read them. `orders` has each tool's parameters in order.
    """

    def __init__(self, timeline: Timeline, orders: Mapping[str, Sequence[str]] | None = None) -> None:
        self.timeline = timeline
        self._orders = orders or {}
        self._labels: dict[str, str] = {}
        self.outcomes: Counter[str] = Counter({outcome.value: 0 for outcome in Outcomes})
        self.launched = 0
        self.saved = 0.0
        self.undone: list[str] = []
        self.cancelled: list[str] = []

    def see(self, event: CallEvent) -> None:
        """Note one transition."""
        label = self._label(event)
        match event.kind:
            case EventKind.LAUNCHED:
                self.launched += 1
                self._labels[event.effect_id] = label
                self.timeline.begin(event.speculation_id, Kind.EARLY, label)
            case EventKind.RUN_ENDED:
                self.timeline.end(event.speculation_id)
            case EventKind.RESOLVED:
                self._resolved(event, label)
            case EventKind.CALL_ENDED if event.outcome in LOOKED_UP:
                self.outcomes[event.outcome] += 1
                self.saved += float(event.facts.get("saved", 0.0))
            case EventKind.COMPENSATION_STARTED:
                undone = self._labels.get(event.effect_id, label)
                self.timeline.begin(f"undo {event.effect_id}", Kind.UNDO, undone)
            case EventKind.COMPENSATION_ENDED:
                self.timeline.end(f"undo {event.effect_id}", event.outcome)
            case _:
                pass

    def _label(self, event: CallEvent) -> str:
        if event.call is None:
            return ""
        return describe(event.call.tool, event.call.args, order=self._orders.get(event.call.tool, ()))

    def _resolved(self, event: CallEvent, label: str) -> None:
        self.timeline.end(event.speculation_id, event.outcome)
        if event.outcome in UNUSED:
            self.outcomes[event.outcome] += 1
        if event.outcome == Outcomes.COMPENSATED:
            self.undone.append(label)
        elif event.outcome == Outcomes.CANCELLED:
            self.cancelled.append(label)

    @property
    def wasted(self) -> int:
        """Early calls that nobody adopted."""
        return sum(self.outcomes[outcome] for outcome in (*UNUSED, Outcomes.STALE))
