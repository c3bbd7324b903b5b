"""The one table of states: total, reachable, with real ends."""

from __future__ import annotations

from specflow.lifecycle import BRANCH_MOVES, MOVES, RESTING, START, TERMINAL, BranchState, Stage, may_move


def test_every_stage_is_in_the_table() -> None:
    assert set(MOVES) == set(Stage)
    assert set(BRANCH_MOVES) == set(BranchState)


def test_every_stage_can_be_reached() -> None:
    seen, edge = set(START), set(START)
    while edge:
        edge = {target for stage in edge for target in MOVES[stage]} - seen
        seen |= edge
    assert seen == set(Stage)


def test_from_every_stage_an_end_can_be_reached() -> None:
    for start in Stage:
        seen, edge = {start}, {start}
        while edge:
            edge = {target for stage in edge for target in MOVES[stage]} - seen
            seen |= edge
        assert seen & (TERMINAL | {Stage.COMMITTED}), f"{start} never ends"


def test_what_is_terminal_stays() -> None:
    assert {Stage.FAILED, Stage.COMPENSATED, Stage.DROPPED} == TERMINAL
    for stage in TERMINAL:
        assert not any(may_move(stage, other) for other in Stage)
    assert TERMINAL < RESTING


def test_a_decision_is_for_ever() -> None:
    assert BRANCH_MOVES[BranchState.CONFIRMED] == BRANCH_MOVES[BranchState.ABORTED] == frozenset()


def test_nothing_is_undone_without_passing_through_compensating() -> None:
    for source, targets in MOVES.items():
        if Stage.COMPENSATED in targets:
            assert source in {Stage.COMPENSATING, Stage.STUCK}
