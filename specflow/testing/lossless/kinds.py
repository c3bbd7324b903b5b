"""The tools of the generated world: what they truly touch, and how what they do is taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from specflow.effects.footprint import keys, overlap
from specflow.effects.kind import EffectClass
from specflow.testing.lossless.world import SeatTakenError

CELL, CELLS = "cell:{args.area}:{args.cell}", "cell:{args.area}:*"
CACHE, DIE = "cache:{args.area}:{args.cell}", "die:{args.area}"
SEAT, SEATS = "seat:{args.area}:{args.seat}", "seat:{args.area}:*"
LETTERS, BUFFER = "letters:{args.area}", "buffer:{args.area}"
READ, WRITE, ASK = EffectClass.READ_ONLY, EffectClass.COMPENSATABLE, EffectClass.CONFIRMATION_REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One tool. `reads` and `writes` are its true footprint, whatever a policy says of it.

    `undo` is the tool that takes it back, `back` its arguments as expressions, `before` the tool that is
    asked first (with the arguments `asked`), `verify` the one that tells whether it happened.
    """

    takes: Mapping[str, str]
    effect: EffectClass
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    undo: str = ""
    back: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    asked: tuple[str, ...] = ()
    tolerant: bool = False
    verify: str = ""
    not_done: tuple[type[Exception], ...] = ()
    asked_for: bool = True
    """Whether an agent calls it; the others only undo, or tell what was there."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        properties = {name: {"type": kind.split("|")} for name, kind in self.takes.items()}
        required = sorted(name for name in self.takes if name != "note")
        return {"type": "object", "properties": properties, "required": required}


_AREA = {"area": "string"}
_CELL = {"area": "string", "cell": "string"}
_SAME = {"area": "args.area", "cell": "args.cell"}

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "look": Kind(takes={**_CELL, "note": "string"}, effect=READ, reads=(CELL,)),
        "survey": Kind(takes=_AREA, effect=READ, reads=(CELLS,)),
        "check": Kind(takes=_CELL, effect=READ, reads=(CELL,), not_done=(ValueError,)),
        "recall": Kind(takes=_CELL, effect=READ, reads=(CACHE, CELL)),
        "scan": Kind(takes=_CELL, effect=READ, reads=(CELL, BUFFER), writes=(BUFFER,)),
        "seats": Kind(takes=_AREA, effect=READ, reads=(SEATS,)),
        "seat_of": Kind(takes={**_AREA, "booking": "string"}, effect=READ, reads=(SEATS,)),
        "refresh": Kind(
            takes=_CELL,
            effect=WRITE,
            reads=(CELL,),
            writes=(CACHE,),
            undo="recache",
            back={**_SAME, "value": "before.value"},
            before="peek",
            asked=("area", "cell"),
        ),
        "draw": Kind(
            takes=_AREA,
            effect=WRITE,
            writes=(DIE,),
            undo="set_die",
            back={"area": "args.area", "state": "before.state"},
            before="die",
            asked=("area",),
        ),
        "put": Kind(
            takes={**_CELL, "value": "integer"},
            effect=WRITE,
            writes=(CELL,),
            undo="put",
            back={**_SAME, "value": "before.value"},
            before="look",
            asked=("area", "cell"),
        ),
        "add": Kind(
            takes={**_CELL, "by": "integer"},
            effect=WRITE,
            writes=(CELL,),
            undo="add",
            back={**_SAME, "by": "0 - args.by"},
        ),
        "move": Kind(
            takes={**_AREA, "source": "string", "target": "string"},
            effect=WRITE,
            writes=("cell:{args.area}:{args.source}", "cell:{args.area}:{args.target}"),
            undo="move",
            back={"area": "args.area", "source": "args.target", "target": "args.source"},
        ),
        "book": Kind(
            takes={**_AREA, "seat": "string"},
            effect=WRITE,
            writes=(SEAT,),
            undo="cancel",
            back={"area": "args.area", "booking": "result.booking"},
            not_done=(SeatTakenError,),
        ),
        "post": Kind(
            takes={**_CELL, "value": "integer"},
            effect=WRITE,
            writes=(CELL,),
            undo="unpost",
            back={**_SAME, "key": "key"},
            tolerant=True,
            verify="posted",
        ),
        "send": Kind(takes={**_AREA, "text": "string"}, effect=ASK, writes=(LETTERS,)),
        # What agents do not call.
        "peek": Kind(takes=_CELL, effect=READ, reads=(CACHE,), asked_for=False),
        "die": Kind(takes=_AREA, effect=READ, reads=(DIE,), asked_for=False),
        "posted": Kind(takes={**_AREA, "key": "string"}, effect=READ, asked_for=False),
        "recache": Kind(takes={**_CELL, "value": "integer|null"}, effect=ASK, asked_for=False),
        "set_die": Kind(takes={**_AREA, "state": "integer"}, effect=ASK, asked_for=False),
        "cancel": Kind(takes={**_AREA, "booking": "string"}, effect=ASK, asked_for=False),
        "unpost": Kind(takes={**_CELL, "key": "string"}, effect=ASK, asked_for=False),
    }
)
"""Every tool by name."""

ASKED_FOR = tuple(name for name, kind in KINDS.items() if kind.asked_for)


def conflict(one: str, its: Mapping[str, Any], other: str, others: Mapping[str, Any]) -> bool:
    """Whether the order of two calls could show: one of them truly writes what the other one touches."""
    first, second = _touched(one, its), _touched(other, others)
    return any(
        overlap(writes, reads | also) for (_, writes), (reads, also) in ((first, second), (second, first))
    )


def _touched(tool: str, args: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    plain = {name: str(value).upper() if name == "cell" else value for name, value in args.items()}
    kind = KINDS[tool]
    return keys(kind.reads, plain) or frozenset(), keys(kind.writes, plain) or frozenset()
