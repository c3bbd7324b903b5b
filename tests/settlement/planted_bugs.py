"""What a planted bug is: one named function replaced, and the checks of the proof that must notice it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """`at` is the function that is replaced; `caught_by` are checks that must fail, by name."""

    name: str
    at: str
    plant: Plant
    caught_by: tuple[str, ...]


BUGS: list[Bug] = []


def bug(name: str, at: str, *caught_by: str) -> Callable[[Plant], Plant]:
    """Add one to the list."""

    def add(plant: Plant) -> Plant:
        BUGS.append(Bug(name=name, at=at, plant=plant, caught_by=caught_by))
        return plant

    return add
