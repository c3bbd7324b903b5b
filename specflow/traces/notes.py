"""What an import has to tell besides the runs: what was left out, and what was odd."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 1000
"""So many broken records are named; of the rest there is a count."""

PLACES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A record or a run that was left out. `place` is `file:line`."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(slots=True, kw_only=True)
class Notes:
    """Gathers while an import goes on. `records` counts what was read, broken or not."""

    records: int = 0
    broken: list[Broken] = field(default_factory=list)
    left_out: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, place: str, message: str) -> None:
        """A record or a run cannot be used."""
        self.left_out += 1
        if len(self.broken) < SHOWN:
            self.broken.append(Broken(place=place, message=message))

    def note(self, code: str, place: str = "", count: int = 1) -> None:
        """Something odd was met and got over; a few places of each kind are kept."""
        self.odd[code] += count
        kept = self.places.setdefault(code, [])
        if place and len(kept) < PLACES and place not in kept:
            kept.append(place)
