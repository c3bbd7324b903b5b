"""An outside world in memory in which every order shows: what was read when, written twice, or left behind.

It is divided into areas. One agent works in one area, so that what an agent sees depends on nothing but its
own calls; everything inside an area is shared state: cells, a cache over them, a die, seats, letters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SIDES = 1_000_003


class SeatTakenError(Exception):
    """Certain: nothing was booked."""


@dataclass(slots=True)
class Area:
    """The state that one agent works on. `cache`, `die` and `buffer` are what
    nobody sees but everybody meets.
    """

    cells: dict[str, int] = field(default_factory=lambda: {"A": 1, "B": 2, "C": 3})
    cache: dict[str, int] = field(default_factory=dict)
    die: int = 7
    buffer: int = 0
    seats: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    letters: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """What two worlds are compared by: no keys, which differ from run to run."""
        return {
            "cells": dict(sorted(self.cells.items())),
            "cache": dict(sorted(self.cache.items())),
            "die": self.die,
            "seats": sorted(seat for seat in self.seats.values() if seat),
            "letters": list(self.letters),
        }


@dataclass(slots=True, kw_only=True)
class Made:
    """One call that reached the world. `acted`: it got as far as doing something."""

    tool: str
    args: Mapping[str, Any]
    key: str
    early: bool
    compensating: bool
    acted: bool = False
    ended: bool = False


@dataclass(slots=True)
class World:
    """Areas by name, the answer to every key ever used, and every call in order.

    `stumbling`: tools of which the first try of every undo fails, and does nothing; `breaks` is as in `Case`.
    """

    areas: dict[str, Area] = field(default_factory=dict)
    receipts: dict[str, Any] = field(default_factory=dict)
    lost: dict[str, int | None] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    stumbling: frozenset[str] = frozenset()
    breaks: bool = False
    stumbled: set[str] = field(default_factory=set)

    def area(self, name: str) -> Area:
        """The area of that name, as new when nobody has been there."""
        return self.areas.setdefault(name, Area())

    def plain(self) -> dict[str, Any]:
        """Everything that two worlds are compared by."""
        return {name: area.plain() for name, area in sorted(self.areas.items())}

    def phases(self, tool: str, args: Mapping[str, Any], key: str) -> Iterator[Any]:
        """What a call does, step by step; the last value is its answer. Between the steps time passes.

        A write under a key that was used before does nothing and has the same answer.
        """
        if key and key in self.receipts:
            yield self.receipts[key]
            return
        if tool in {"move", "scan"}:
            yield from getattr(self, f"_{tool}")(args, key)
            return
        answer = getattr(self, f"_{tool}")(self.area(args["area"]), args, key)
        if key:
            self.receipts[key] = json.loads(json.dumps(answer))
        yield answer

    # ------------------------------------------------------------------ reads

    def _look(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        cell = str(args["cell"]).upper()
        return {"cell": cell, "value": area.cells[cell]}

    def _survey(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        return {"cells": dict(area.cells), "sum": sum(area.cells.values())}

    def _check(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        cell = str(args["cell"]).upper()
        if area.cells[cell] % 2:
            raise ValueError(f"{cell} is odd: {area.cells[cell]}")
        return {"cell": cell, "even": True}

    def _recall(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        cell = str(args["cell"]).upper()
        return {"cell": cell, "value": area.cache.get(cell, area.cells[cell]), "cached": cell in area.cache}

    def _peek(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        return {"value": area.cache.get(str(args["cell"]).upper())}

    def _die(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        return {"state": area.die}

    def _seats(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        return {"taken": sorted(seat for seat in area.seats.values() if seat)}

    def _seat_of(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        return {"seat": area.seats.get(args["booking"], "")}

    def _posted(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        return {"posted": True} if args["key"] in self.lost else None

    def _scan(self, args: Mapping[str, Any], key: str) -> Iterator[Any]:
        # It leaves nothing behind, but two at a time get each other's answers.
        area, cell = self.area(args["area"]), str(args["cell"]).upper()
        area.buffer = area.cells[cell]
        yield None
        yield {"cell": cell, "value": area.buffer}

    # ------------------------------------------------------------------ writes

    def _refresh(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        # A read to look at, and a write by what it leaves behind.
        cell = str(args["cell"]).upper()
        area.cache[cell] = area.cells[cell]
        return {"cell": cell, "value": area.cells[cell]}

    def _recache(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        cell = str(args["cell"]).upper()
        area.cache.pop(cell, None)
        if args.get("value") is not None:
            area.cache[cell] = args["value"]
        return {"done": True}

    def _draw(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        area.die = (area.die * 48_271 + 11) % SIDES
        return {"rolled": area.die % 6 + 1}

    def _set_die(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        area.die = args["state"]
        return {"done": True}

    def _put(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        cell = str(args["cell"]).upper()
        was, area.cells[cell] = area.cells[cell], args["value"]
        return {"was": was, "now": args["value"]}

    def _add(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        cell = str(args["cell"]).upper()
        area.cells[cell] += args["by"]
        return {"total": area.cells[cell]}

    def _move(self, args: Mapping[str, Any], key: str) -> Iterator[Any]:
        # In between, what was taken is nowhere: nobody must see that.
        area, source, target = self.area(args["area"]), args["source"], args["target"]
        self.receipts[key] = answer = {"moved": 1}
        area.cells[source] -= 1
        yield None
        area.cells[target] += 1
        yield answer

    def _book(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        if key in area.refused or args["seat"] in area.seats.values():
            raise SeatTakenError(f"{args['seat']} is taken")
        area.seats[key] = args["seat"]
        return {"booking": key, "seat": args["seat"]}

    def _cancel(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        area.seats.pop(args["booking"], None)
        area.refused.add(args["booking"])
        return {"done": True}

    def _post(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        # An answer can be lost before it happened, or after.
        cell, luck = str(args["cell"]).upper(), args["value"] % 3
        if luck == 1:
            raise OSError("the line is bad")
        self.lost[key], area.cells[cell] = area.cells[cell], args["value"]
        if luck == 2 and self.breaks:
            raise OSError("the line broke")
        return {"posted": True}

    def _unpost(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        was = self.lost.pop(args["key"], None)
        if was is not None:
            area.cells[str(args["cell"]).upper()] = was
        return {"done": True}

    def _send(self, area: Area, args: Mapping[str, Any], key: str) -> Any:
        area.letters.append(args["text"])
        return {"sent": len(area.letters)}
