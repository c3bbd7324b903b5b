"""Observers cannot hurt a run: one that raises is switched off, once, in the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from specflow.journal.event import CallEvent, EventKind, Observers

FIRST, SECOND, THIRD = (CallEvent(kind=EventKind.LAUNCHED, at=at) for at in (1.0, 2.0, 3.0))


class Watching:
    """Keeps what it sees; raises when told to."""

    def __init__(self, *, raising: BaseException | None = None) -> None:
        self.seen: list[CallEvent] = []
        self.raising = raising

    def see(self, event: CallEvent) -> None:
        self.seen.append(event)
        if self.raising is not None:
            raise self.raising


def test_each_sees_every_event_in_order() -> None:
    one, late = Watching(), Watching()
    observers = Observers([one])
    observers.see(FIRST)
    observers.add(late)
    observers.see(SECOND)
    assert one.seen == [FIRST, SECOND]
    assert late.seen == [SECOND], "who comes late sees what happens from then on"


def test_one_that_raises_is_switched_off_with_one_line_and_the_others_see_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, broken, after = Watching(), Watching(raising=RuntimeError("no collector")), Watching()
    observers = Observers([before, broken, after])
    for event in (FIRST, SECOND, THIRD):
        observers.see(event)
    assert broken.seen == [FIRST]
    assert before.seen == after.seen == [FIRST, SECOND, THIRD]
    (line,) = caplog.records
    assert (line.levelno, line.name) == (logging.ERROR, "specflow")
    assert "Watching" in line.getMessage()
    assert line.exc_info is not None, "with the traceback: somebody has to mend it"


def test_of_two_that_are_alike_only_the_broken_one_goes() -> None:
    class Same(Watching):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment] # as for any class with its own __eq__

    broken, sound = Same(raising=ValueError()), Same()
    observers = Observers([broken, sound])
    observers.see(FIRST)
    observers.see(SECOND)
    assert (len(broken.seen), len(sound.seen)) == (1, 2)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_what_ends_the_run_passes_through(error: BaseException) -> None:
    observers = Observers([Watching(raising=error)])
    with pytest.raises(type(error)):
        observers.see(FIRST)


def test_an_observer_may_add_another_while_it_looks() -> None:
    late = Watching()

    class Adding:
        def see(self, event: CallEvent) -> None:
            if event is FIRST:
                observers.add(late)

    observers = Observers([Adding()])
    observers.see(FIRST)
    observers.see(SECOND)
    assert late.seen == [SECOND]
