"""What is hidden in a stored value: where it was, and the sealed text that holds it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from specflow.errors import SealedError
from specflow.sealing.sealer import VARIABLE, Sealer

Place = tuple[str | int, ...]
"""Keys and indices from the top of a value; the empty place is all of it."""

_BLOCK = 64
"""Bytes: secrets are padded to a multiple, so that a box does not tell how long a short one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What of one stored value is hidden. `box` holds it, sealed; empty: it was not stored at all.

    Only what is at one of `places` is hidden: the same words elsewhere are what a tool said.
    """

    places: tuple[Place, ...] = ()
    box: str = ""

    def __post_init__(self) -> None:
        # INVARIANT: rows read from every journal compare equal, whatever sequences JSON gave.
        object.__setattr__(self, "places", tuple(tuple(place) for place in self.places))

    def reads(self, root: str, paths: Iterable[tuple[str, ...]]) -> bool:
        """Whether one of `paths`, those that begin with `root`, reads or holds something hidden."""
        mine = [path[1:] for path in paths if path[0] == root]
        return any(_meet(path, place) for path in mine for place in self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a box belongs to: one field of one effect."""

    effect_id: str
    tool: str
    field: str

    def __str__(self) -> str:
        return f"what the policy redacts in {self.field} of {self.effect_id} ({self.tool})"


def seal(
    sealer: Sealer | None, subject: Subject, shown: Any, places: Sequence[Place], values: Sequence[Any]
) -> Sealed:
    """What to store beside `shown`, from which `values` (plain JSON) at `places` are hidden.

    Without a sealer, or when nothing is hidden, only the places.
    """
    if sealer is None or not places:
        return Sealed(places=tuple(places))
    secret = json.dumps(list(values), separators=(",", ":"), allow_nan=False).encode()
    padded = secret + b" " * (-len(secret) % _BLOCK)
    return Sealed(places=tuple(places), box=sealer.seal(padded, _binding(subject, shown, places)))


def unseal(sealer: Sealer | None, subject: Subject, shown: Any, sealed: Sealed) -> Any:
    """`shown` with everything that is hidden put back; a copy.

    Raises:
        SealedError: it was not stored, or cannot be opened here; nothing of it is in the message.
    """
    if not sealed.places:
        return shown
    if not sealed.box:
        raise SealedError(f"{subject} was not stored", hint=f"{VARIABLE} was not set when it was redacted")
    if sealer is None:
        raise SealedError(f"{subject} is sealed", hint=f"set {VARIABLE} to the key it was sealed with")
    try:
        secret = sealer.open(sealed.box, _binding(subject, shown, sealed.places))
    except SealedError as error:
        raise SealedError(f"{subject}: {error.message}", hint=error.hint, **error.facts) from error
    whole = copy.deepcopy(shown)
    for place, value in zip(sealed.places, json.loads(secret), strict=True):
        if not place:
            return value
        holder = whole
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = value
    return whole


def _binding(subject: Subject, shown: Any, places: Sequence[Place]) -> bytes:
    """What a box is bound to: whose it is, where its parts go, and what stands around them."""
    rest = json.dumps(shown, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(rest.encode()).hexdigest()
    parts = [subject.effect_id, subject.tool, subject.field, [list(place) for place in places], digest]
    return json.dumps(parts, separators=(",", ":")).encode()


def _meet(path: Sequence[str], place: Place) -> bool:
    return all(step == str(other) for step, other in zip(path, place, strict=False))
