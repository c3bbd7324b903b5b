"""What loose match modes change: an adopted answer is then that of other arguments, and may be another one.

A replay cannot ask the model again. It can tell whether the answer that was handed over is the one of the
record, and whether the last message of the run says something that only the recorded one holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from specflow.journal.event import CallEvent, EventKind
from specflow.prediction.chunk import ChunkKind
from specflow.replay.steps import Step

VALUE = re.compile(r"[^\W_]+(?:[-.:/@][^\W_]+)*")


@dataclass(slots=True)
class Loose:
    """Of calls that were answered by an early call with other arguments (`adopted`): the answers that are
    those of the record (`same`), that are not (`different`), and of which the record has none for the early
    arguments (`unknown`). `runs` have any of the last two; of these the `final_answers` say something that
    only a recorded answer holds, so that they would be others.
    """

    adopted: int = 0
    same: int = 0
    different: int = 0
    unknown: int = 0
    runs: int = 0
    final_answers: int = 0

    def include(self, other: Loose) -> None:
        """Add the counts of other runs."""
        for item in fields(Loose):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    def as_json(self) -> dict[str, int]:
        """By name."""
        return {item.name: getattr(self, item.name) for item in fields(Loose)}


def loose_of(steps: Sequence[Step], events: Sequence[CallEvent]) -> Loose:
    """Compare what was adopted in a run with what was recorded. Real calls are called `call_STEP_PLACE`."""
    early = {event.speculation_id: event.call for event in events if event.kind is EventKind.LAUNCHED}
    answers = _answers(steps)
    found, changed = Loose(), []
    for event in events:
        if event.kind is not EventKind.CALL_ENDED or event.outcome not in {"hit", "late"}:
            continue
        call = early.get(event.speculation_id)
        if call is None or call == event.call:
            continue
        recorded = _recorded(steps, event.call_id)
        handed = answers.get(call.fingerprint)
        found.adopted += 1
        found.same += handed == recorded
        found.unknown += handed is None
        found.different += handed is not None and handed != recorded
        if handed != recorded:
            changed.append((recorded, handed or ""))
    found.runs = int(bool(changed))
    found.final_answers = int(_rests(steps, changed))
    return found


def _answers(steps: Sequence[Step]) -> dict[str, str]:
    known: dict[str, str] = {}
    for step in steps:
        for call, result in zip(step.calls, step.results, strict=True):
            known.setdefault(call.fingerprint, result)
    return known


def _recorded(steps: Sequence[Step], call_id: str) -> str:
    number, place = call_id.split("_")[1:3]
    return steps[int(number)].results[int(place)]


def _rests(steps: Sequence[Step], changed: Sequence[tuple[str, str]]) -> bool:
    """Whether the last message says a value that a recorded answer holds, and the one handed over not."""
    if not changed:
        return False
    said = _values("".join(chunk.text for _, chunk in steps[-1].pieces if chunk.kind is ChunkKind.TEXT))
    return any((_values(recorded) - _values(handed)) & said for recorded, handed in changed)


def _values(text: str) -> set[str]:
    """Words that carry something: with a digit, or of four letters and more."""
    words = {word.lower() for word in VALUE.findall(text)}
    return {word for word in words if len(word) >= 4 or any(letter.isdigit() for letter in word)}
