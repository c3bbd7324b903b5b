"""What is not the same when a case is played both ways, and what must not be in either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from specflow.journal.event import EventKind
from specflow.journal.record import EffectRow
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, Stage
from specflow.testing.lossless.case import Case, Manner
from specflow.testing.lossless.player import Played
from specflow.testing.lossless.world import World

Kind = Literal["messages", "world", "effects", "journal", "forbidden", "left"]
KINDS: tuple[Kind, ...] = ("messages", "world", "effects", "journal", "forbidden", "left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it must be.

    messages: an agent saw, and so asked for, something else. world: what is left in the outside world.
    effects: what is on record as committed, or what of it happened. journal: its invariants. forbidden:
    something ran that must not, or too early. left: something was not cleared away.
    """

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def differences(case: Case, sequential: Played, early: Played) -> list[Difference]:
    """Everything that is not as it must be; nothing for a case that is as it should be."""
    return [
        *_messages(sequential, early),
        *_world(sequential, early),
        *_effects(sequential, early),
        *_journal("sequential", sequential),
        *_journal("speculative", early),
        *_forbidden(case, sequential, early),
        *(Difference(kind="left", text=text) for text in early.left),
    ]


def _messages(sequential: Played, early: Played) -> Iterator[Difference]:
    for agent, all_seen in sequential.seen.items():
        now = early.seen.get(agent, ())
        cut = len(now) if agent.partition("/")[0] in early.cancelled else len(all_seen)
        was = all_seen[:cut]
        if was == now:
            continue
        place = next(
            (at for at, (one, other) in enumerate(zip(was, now, strict=False)) if one != other), None
        )
        at = min(len(was), len(now)) if place is None else place
        one, other = (lines[at] if at < len(lines) else "nothing" for lines in (was, now))
        yield Difference(kind="messages", text=f"{agent}, answer {at}: {one} became {other}")


def _world(sequential: Played, early: Played) -> Iterator[Difference]:
    if early.cancelled:
        # How far it came is nobody's to say: it is held against what is on record.
        was, how = _as_recorded(early), "on record"
        if was is None:
            return
    else:
        was, how = sequential.world.plain(), "sequential"
    now = early.world.plain()
    for area in sorted({*was, *now}):
        fresh = World().area("").plain()
        one, other = was.get(area, fresh), now.get(area, fresh)
        for part in one:
            if one[part] != other[part]:
                text = f"{area}, {part}: {how} {one[part]}, speculative {other[part]}"
                yield Difference(kind="world", text=text)


def _as_recorded(played: Played) -> dict[str, Any] | None:
    """The world that comes of what is committed, in the order it was done; None if that is not known."""
    if any(row.stage is Stage.STUCK for row in played.rows.effects):
        return None
    kept = {row.idem_key for row in played.rows.effects if row.stage is Stage.COMMITTED}
    world = World(breaks=played.world.breaks)
    for made in played.world.made:
        if made.key not in kept or made.compensating or not made.acted:
            continue
        try:
            for _ in world.phases(made.tool, made.args, made.key):
                pass
        except Exception:  # noqa: BLE001, S110 - what was raised then is raised now
            pass
    return world.plain()


def _effects(sequential: Played, early: Played) -> Iterator[Difference]:
    if not early.cancelled:
        was, now = (_committed(played) for played in (sequential, early))
        for what, count in ((was - now) + (now - was)).items():
            text = f"{what}: committed {was[what]} times, speculative {now[what]} times"
            yield Difference(kind="effects", text=text + f" ({count} too many or too few)")
    acts = Counter(made.key for made in early.world.made if made.acted and made.key)
    undone = {row.comp_key for row in early.rows.effects if row.stage is Stage.COMPENSATED}
    known = {row.idem_key for row in early.rows.effects} | {row.comp_key for row in early.rows.effects}
    for row in early.rows.effects:
        if row.stage is Stage.COMMITTED and not acts[row.idem_key]:
            yield Difference(kind="effects", text=f"{_what(row)} is committed, and never happened")
        if row.stage is Stage.FAILED and acts[row.idem_key] and row.tool != "post":
            yield Difference(kind="effects", text=f"{_what(row)} is on record as failed, and happened")
        if (
            row.comp_key
            and acts[row.comp_key]
            and row.comp_key not in undone
            and row.stage is not Stage.STUCK
        ):
            yield Difference(kind="effects", text=f"{_what(row)} is {row.stage}, and was undone")
    for made in early.world.made:
        if made.key and made.key not in known:
            yield Difference(kind="effects", text=f"{made.tool}({dict(made.args)}) is not on record")


def _committed(played: Played) -> Counter[str]:
    # Keys of bookings differ from run to run.
    return Counter(_what(row) for row in played.rows.effects if row.stage is Stage.COMMITTED)


def _what(row: EffectRow) -> str:
    shown = {name: value for name, value in sorted(row.args.items()) if name not in {"booking", "key"}}
    return f"{row.tool}({shown})"


def _journal(how: str, played: Played) -> Iterator[Difference]:
    for violation in verify(played.rows):
        yield Difference(kind="journal", text=f"{how}: {violation}")
    for row in played.rows.effects:
        if row.stage not in RESTING:
            yield Difference(kind="journal", text=f"{how}: {_what(row)} is left {row.stage}")
        if row.stage is Stage.STUCK and not played.cancelled:
            yield Difference(kind="journal", text=f"{how}: {_what(row)} is stuck: {row.error}")


def _forbidden(case: Case, sequential: Played, early: Played) -> Iterator[Difference]:
    for text in (*sequential.forbidden, *early.forbidden):
        yield Difference(kind="forbidden", text=text)
    if any(made.early for made in sequential.world.made):
        yield Difference(kind="forbidden", text="something ran early though nothing was to")
    for event in early.events:
        if event.kind is not EventKind.LAUNCHED or event.candidate is None:
            continue
        manner = case.manners.get(event.candidate.call.tool, Manner())
        if event.candidate.confidence < manner.min_confidence:
            yield Difference(
                kind="forbidden", text=f"{event.candidate.call} was launched on too little confidence"
            )
        if manner.predictors is not None and event.candidate.predictor not in manner.predictors:
            yield Difference(
                kind="forbidden", text=f"{event.candidate.call} was launched for {event.candidate.predictor}"
            )
