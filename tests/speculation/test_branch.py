"""Branches: ended once, children first, and the decision of a path is the conjunction of its parts."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from specflow.errors import InvariantError
from specflow.lifecycle import BranchState
from specflow.speculation.branch import Branch, Grove
from specflow.testing.explore import run

EXAMPLES = 2_000 if "SPECFLOW_NIGHTLY" in os.environ else 100 if "CI" in os.environ else 40


def branch(name: str, parent: Branch | None = None, odds: float = 1.0) -> Branch:
    depth = parent.depth + 1 if parent is not None else 0
    return Branch(branch_id=name, hypothesis=name, odds=odds, parent=parent, depth=depth)


class Trees(RuleBasedStateMachine):
    """Grows trees, owns things, decides and closes in any order, and keeps its own books beside."""

    @initialize(most=st.integers(1, 30))
    def plant(self, most: int) -> None:
        self.most = most
        self.grove = Grove(most=most)
        self.all: list[Branch] = []
        self.owned: dict[str, Branch] = {}
        self.ended: list[tuple[str, str]] = []
        self.decided: dict[Branch, tuple[BranchState, str, float | None]] = {}
        self.now = 0.0

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    @precondition(lambda self: len(self.all) < 40)
    @rule(data=st.data())
    def grow(self, data: st.DataObject) -> None:
        parents = [None, *(item for item in self.all if not item.lost)]
        parent = data.draw(st.sampled_from(parents))
        if self.grove.full:
            return
        made = branch(f"b{len(self.all)}", parent)
        self.grove.grow(made, data.draw(st.sampled_from(["", "side"])))
        self.all.append(made)

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def own(self, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from(self.all))
        name = f"item{len(self.owned)}"
        self.owned[name] = of
        late = of.lost
        of.own(name, lambda cause: self.ended.append((name, cause)))
        assert late == (name in dict(self.ended)), "what comes too late is ended at once"

    @precondition(lambda self: self.all)
    @rule(data=st.data(), cause=st.sampled_from(["mismatch", "failed"]))
    def abort(self, data: st.DataObject, cause: str) -> None:
        of = data.draw(st.sampled_from(self.all))
        below = [item for item in self.all if of in item.path and not item.closed]
        before = of.state
        already = len(self.ended)
        assert of.abort(cause, self.tick()) == (before is BranchState.OPEN)
        if before is not BranchState.OPEN:
            assert len(self.ended) == already
            return
        self.check_end(of, below, cause, already)

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from(self.all))
        ended = len(self.ended)
        assert of.confirm(self.tick()) == (of not in self.decided)
        assert len(self.ended) == ended, "a right guess ends nothing, and commits nothing"

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from(self.all))
        if of.state is BranchState.OPEN:
            return
        below = [item for item in self.all if of in item.path and not item.closed]
        already = len(self.ended)
        of.close("done", self.tick())
        self.check_end(of, below, "done", already)

    @rule()
    def prune(self) -> None:
        ended = len(self.ended)
        self.grove.prune()
        assert len(self.ended) == ended

    def check_end(self, of: Branch, below: list[Branch], cause: str, already: int) -> None:
        """Everything below has ended, with the same cause, each child before what its parent owned."""
        assert all(item.closed for item in below)
        news = self.ended[already:]
        assert {said for _name, said in news} <= {cause}
        position = {name: place for place, (name, _cause) in enumerate(news)}
        for name, place in position.items():
            mine = self.owned[name]
            for other, later in position.items():
                theirs = self.owned[other]
                if theirs is not mine and theirs in mine.path:
                    assert place < later, "children first"
                if theirs is mine and int(name[4:]) > int(other[4:]):
                    assert place < later, "then its own in reverse order"

    @invariant()
    def decided_once(self) -> None:
        for item in getattr(self, "all", ()):
            if item.state is not BranchState.OPEN:
                now = (item.state, item.cause, item.decided_at)
                assert self.decided.setdefault(item, now) == now, "a decision is immutable"

    @invariant()
    def ended_once(self) -> None:
        names = [name for name, _cause in getattr(self, "ended", ())]
        assert len(names) == len(set(names))

    @invariant()
    def conjunction(self) -> None:
        for item in getattr(self, "all", ()):
            states = [above.state for above in item.path]
            if BranchState.ABORTED in states:
                assert item.effective is BranchState.ABORTED
                assert item.closed, "nothing goes on below what is lost"
            elif BranchState.OPEN in states:
                assert item.effective is BranchState.OPEN
                assert item.confirmed_since is None
            else:
                assert item.effective is BranchState.CONFIRMED
                assert item.confirmed_since == max(above.decided_at or 0.0 for above in item.path)

    @invariant()
    def counted(self) -> None:
        if hasattr(self, "grove"):
            assert len(self.grove) == sum(not item.closed for item in self.all) <= self.most

    def teardown(self) -> None:
        if not hasattr(self, "grove"):
            return
        for root in self.grove.roots():
            root.abort("shutdown", self.tick())
            root.close("shutdown", self.tick())
        assert len(self.grove) == 0
        assert {name for name, _cause in self.ended} == set(self.owned), "nothing is left behind"


TestTrees = Trees.TestCase
TestTrees.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_the_path_reads_from_the_root(odds: list[float]) -> None:
    tip: Branch | None = None
    for place, one in enumerate(odds):
        tip = branch(str(place), tip, one)
    assert tip is not None
    assert tip.presumed == " > ".join(map(str, range(len(odds))))
    assert tip.depth == len(odds) - 1


def test_nothing_grows_under_what_is_lost() -> None:
    grove = Grove(most=3)
    root = grove.grow(branch("root"), "")
    root.abort("mismatch", 1.0)
    with pytest.raises(InvariantError):
        grove.grow(branch("late", root), "")


def test_a_task_ends_with_its_branch_and_not_after_it() -> None:
    async def story() -> None:
        grove = Grove(most=3)
        root = grove.grow(branch("root"), "")

        async def work() -> None:
            await asyncio.sleep(10)

        done = asyncio.get_running_loop().create_task(asyncio.sleep(0))
        going = asyncio.get_running_loop().create_task(work())
        cancelled: list[object] = []

        def cancel(task: asyncio.Task[None]) -> None:
            cancelled.append(task)
            task.cancel()

        root.start(done, cancel)
        root.start(going, cancel)
        await asyncio.sleep(1)
        root.abort("mismatch", 1.0)
        assert cancelled == [going]
        await asyncio.wait({going})
        assert going.cancelled()

    run(story(), leaks="error")
