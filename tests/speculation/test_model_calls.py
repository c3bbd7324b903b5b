"""The table of early model calls, by rules: one adopter, first come first adopted, nothing left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from specflow.speculation.branch import Branch
from specflow.speculation.model_calls import MOST, OUTRUN, REMEMBERED, Adoption, ModelCalls, Recording

KEYS = st.sampled_from("abcdefghijklmnop")


class Table(RuleBasedStateMachine):
    """Begins, adopts, fails, aborts in any order, beside a model of the table that is no more than lists."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = ModelCalls()
        self.live: dict[str, list[Recording]] = {}
        self.asked = 0
        self.born: dict[Recording, int] = {}
        self.taken: set[Recording] = set()
        self.number = 0
        self.come: set[str] = set()

    branches: Bundle[Branch] = Bundle("branches")
    recordings: Bundle[Recording] = Bundle("recordings")

    @rule(target=branches)
    def grow(self) -> Branch:
        self.number += 1
        return Branch(branch_id=str(self.number), hypothesis="h", odds=1.0)

    @rule(target=recordings, key=KEYS, branch=branches)
    def begin(self, key: str, branch: Branch) -> Any:
        held = sum(map(len, self.live.values()))
        recording = self.calls.begin(key, branch)
        if held >= MOST or key in self.come:
            assert recording is None
            return None
        assert recording is not None
        if not branch.lost:
            self.live.setdefault(key, []).append(recording)
            self.born[recording] = self.asked
        return recording

    @rule(recording=recordings, failed=st.booleans())
    def finish(self, recording: Recording | None, failed: bool) -> None:
        if recording is not None:
            recording.finish(RuntimeError("failed") if failed else None)

    @rule(recording=recordings)
    def say(self, recording: Recording | None) -> None:
        if recording is not None:
            recording.add("word")

    @rule(branch=consumes(branches))
    def abort(self, branch: Branch) -> None:
        branch.abort("mismatch", 0.0)
        for entries in self.live.values():
            entries[:] = [item for item in entries if item.owner is not branch]

    @rule(key=KEYS)
    def adopt(self, key: str) -> None:
        self.asked += 1
        self.come.add(key)
        for entries in self.live.values():
            entries[:] = [item for item in entries if self.born[item] >= self.asked - OUTRUN]
        expected = None
        entries = self.live.get(key, [])
        while entries and expected is None:
            first = entries.pop(0)
            expected = None if first.error is not None else first
        adopted = self.calls.adopt(key)
        assert adopted is expected, "the first registered that has not failed"
        if adopted is not None:
            assert adopted not in self.taken, "one adopter each"
            self.taken.add(adopted)

    @invariant()
    def nothing_else_is_there(self) -> None:
        assert len(self.calls) == sum(map(len, self.live.values()))
        for recording in self.born:
            if recording not in self.taken and recording not in self.live.get(recording.key, []):
                assert recording.over, "what is neither live nor adopted has been ended"


Table.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTable = Table.TestCase


async def test_a_recording_is_read_from_the_beginning_by_whoever_comes() -> None:
    recording = ModelCalls().begin("k", Branch(branch_id="b", hypothesis="h", odds=1.0))
    assert recording is not None
    recording.add(1)
    first = asyncio.create_task(collected(recording))
    await asyncio.sleep(0)
    recording.add(2)
    second = asyncio.create_task(collected(recording))
    await asyncio.sleep(0)
    recording.add(3)
    recording.finish()
    recording.add(4)
    assert await first == await second == [1, 2, 3]


async def collected(recording: Recording) -> list[int]:
    return [piece async for piece in recording.stream()]


async def test_an_error_comes_after_everything_that_was_said() -> None:
    recording = ModelCalls().begin("k", Branch(branch_id="b", hypothesis="h", odds=1.0))
    assert recording is not None
    recording.add(1)
    recording.finish(RuntimeError("cut"))
    recording.finish()
    assert await recording.after(0) == [1]
    with pytest.raises(RuntimeError, match="cut"):
        await recording.after(1)


def test_nothing_is_begun_that_the_real_run_has_come_to() -> None:
    calls = ModelCalls()
    branch = Branch(branch_id="b", hypothesis="h", odds=1.0)
    assert calls.adopt("k") is None
    assert calls.begin("k", branch) is None
    assert calls.begin("another", branch) is not None
    assert calls.seen == {Adoption.MISS: 1, Adoption.OVERTAKEN: 1}


def test_what_the_real_run_has_come_to_is_not_remembered_for_ever() -> None:
    calls = ModelCalls()
    for number in range(REMEMBERED + 1):
        calls.adopt(str(number))
    branch = Branch(branch_id="b", hypothesis="h", odds=1.0)
    assert calls.begin("0", branch) is not None
    assert calls.begin("1", branch) is None


def test_what_the_real_run_never_comes_to_is_given_up() -> None:
    calls = ModelCalls()
    branch = Branch(branch_id="b", hypothesis="h", odds=1.0)
    recording = calls.begin("never", branch)
    assert recording is not None
    for number in range(OUTRUN + 1):
        calls.adopt(f"other {number}")
    assert len(calls) == 0
    assert recording.over
    assert branch.idle or branch.state.name == "OPEN"
