"""Speculative equals sequential, for one seed or for many; and the smallest case that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from specflow.errors import SpecflowError
from specflow.journal.memory import MemoryJournal
from specflow.journal.port import Journal
from specflow.speculation.parts import Mode
from specflow.testing.explore import run
from specflow.testing.lossless.case import Case
from specflow.testing.lossless.differences import Difference, differences
from specflow.testing.lossless.draw import draw
from specflow.testing.lossless.player import Played, play
from specflow.testing.lossless.smaller import shrunk
from specflow.testing.proof import LoopOrZero

MAX_STEPS = 2_000_000
"""More than it takes until two calls that wait for each other have both lost their patience."""
Journals = Callable[[], Journal]


class LossyError(SpecflowError, AssertionError):
    """Speculation changed something."""

    code = "lossy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """A case played both ways, and what differs."""

    case: Case
    sequential: Played
    early: Played
    differences: tuple[Difference, ...]


def memory() -> Journal:
    """A journal for one run."""
    return MemoryJournal(LoopOrZero())


def case_of(seed: int, *, size: int = 4) -> Case:
    """The case that a seed stands for."""
    return draw(Random(seed), seed=seed, size=size)  # noqa: S311 - must be repeatable


def both(case: Case, *, journal: Journals = memory, mode: Mode = Mode.ON) -> Both:
    """Play a case sequentially and in that mode, each time in a world of its own, and compare."""
    sequential = _played(case, memory(), Mode.OFF)
    early = _played(case, journal(), mode)
    return Both(
        case=case,
        sequential=sequential,
        early=early,
        differences=tuple(differences(case, sequential, early)),
    )


def _played(case: Case, journal: Journal, mode: Mode) -> Played:
    return run(
        play(case, journal, mode),
        seed=case.seed,
        step_seconds=case.step_seconds if mode is not Mode.OFF else 0.0,
        max_steps=MAX_STEPS,
    )


def lossless(seed: int, *, size: int = 4, journal: Journals = memory) -> Both:
    """Make sure that the case of a seed comes out the same both ways.

    Raises:
        LossyError: it does not; the message holds the smallest case found that still fails, and how to
            repeat it.
    """
    case = case_of(seed, size=size)
    return hold(case, journal=journal, again=f"lossless({seed}, size={size})")


def hold(case: Case, *, journal: Journals = memory, again: str = "both(case)") -> Both:
    """The same for a case however it was made."""
    found = both(case, journal=journal)
    if found.differences:
        raise LossyError(told(found, again=again), seed=case.seed)
    return found


def told(found: Both, *, again: str) -> str:
    """What differs, how to repeat it, and the smallest case that was found to differ."""
    least = shrunk(found.case, lambda case: bool(both(case).differences))
    first = "\n  ".join(map(str, found.differences))
    shown = "\n  ".join(map(str, both(least).differences or found.differences))
    return (
        f"speculation changed something\n  {first}\nrepeat it with {again}\n"
        f"the smallest case found:\n{least}\n  {shown}"
    )
