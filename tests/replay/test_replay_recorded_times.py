"""Tools that take the time of the record: in sequence a run takes as long as it did."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from specflow.cli import main
from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.policy.load import loads
from specflow.replay.recorded_times import RecordedTimes, recorded_times
from specflow.replay.steps import steps_of
from specflow.replay.summary import Summary, replay_run
from specflow.traces.recorded import RecordedRun, read_runs

EPSILON = 1e-6
# `quick` is given up after a second and `banned` is refused: what these take is not up to the record.
NAMES = ("read", "other", "lasting", "loose", "held", "book", "pay", "nobody")
SECONDS = st.floats(0, 40, allow_nan=False, width=16)
CALL = st.tuples(st.sampled_from(NAMES), st.integers(0, 1), SECONDS)
TURNS = st.lists(st.tuples(SECONDS, st.lists(CALL, max_size=5)), max_size=6)


def timed(kit: Any, turns: list[tuple[float, list[tuple[str, int, float | None]]]]) -> RecordedRun:
    """A run of (model seconds, [(tool, id, tool seconds)])."""
    said = []
    for seconds, calls in turns:
        turn = kit.answer(seconds, *((name, {"id": number}) for name, number, _ in calls))
        for result, (_, _, took) in zip(turn["tool_results"], calls, strict=True):
            result["seconds"] = took
        said.append(turn)
    run: RecordedRun = kit.run(*said)
    return run


def replay(kit: Any, run: RecordedRun, times: RecordedTimes, guesses: Any = ()) -> Summary:
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser(guesses)],
        latency=times,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns=TURNS, places=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), max_size=8))
@example(turns=[(2.0, [("lasting", 0, 0.0), ("lasting", 0, 2.0)])], places=[(0, 0)])
def test_in_sequence_a_run_takes_what_it_took(kit: Any, turns: Any, places: Any) -> None:
    """# INVARIANT: sequential time is the recorded one, step by step; and no guess beats the bound."""
    run = timed(kit, [*turns, (1.0, [("read", 0, 2.0)])])
    calls = [[Call(tool=name, args={"id": number}) for name, number, _ in made] for _, made in turns]
    guesses = [[(piece, call, 0.9) for piece, at in places for call in made[at : at + 1]] for made in calls]
    one = replay(kit, run, recorded_times([run]), guesses)
    recorded = [seconds + max((took for _, _, took in made), default=0.0) for seconds, made in turns]
    assert one.sequential_steps == pytest.approx([*recorded, 3.0], abs=EPSILON)
    assert one.untimed_calls == 0
    assert one.saved_seconds <= one.oracle_seconds + EPSILON
    assert one.regret_seconds >= -EPSILON


def test_the_same_call_takes_another_time_when_it_is_made_again(kit: Any) -> None:
    turns = [(1.0, [("read", 1, 5.0)]), (1.0, []), (1.0, [("read", 1, 0.5)]), (1.0, [("read", 2, None)])]
    run = timed(kit, turns)
    takes = recorded_times([run]).on(tuple(steps_of(run)))
    call = Call(tool="read", args={"id": 1})
    assert [takes(call, step) for step in range(5)] == [5.0, 0.5, 0.5, 0.5, 0.5]
    assert takes(Call(tool="read", args={"id": 2}), 3) == 2.75, "the median of the tool"
    assert takes(Call(tool="other", args={"id": 2}), 3) == 2.75, "the median of all tools"
    assert takes.recorded(call, 1) is None


def test_an_early_call_takes_what_that_call_took(kit: Any) -> None:
    run = timed(kit, [(10.0, [("read", 1, 3.0)]), (1.0, [("read", 2, 7.0)]), (10.0, [("read", 1, 9.0)])])
    guess = [(0, Call(tool="read", args={"id": 1}), 0.9)]
    one = replay(kit, run, recorded_times([run]), [guess, [], guess])
    assert one.sequential_steps == pytest.approx([13.0, 8.0, 19.0])
    assert one.speculative_steps == pytest.approx([10.0, 8.0, 10.0])
    assert one.oracle_seconds == pytest.approx(3.0 + 1.0 + 9.0)


def test_calls_without_a_time_are_counted_and_take_the_median_of_all_runs(kit: Any) -> None:
    other = timed(kit, [(1.0, [("read", 1, 2.0), ("read", 2, 4.0), ("read", 3, 30.0)])])
    run = timed(kit, [(1.0, [("read", 9, None)]), (1.0, [("other", 9, None), ("nobody", 1, None)])])
    one = replay(kit, run, recorded_times([run, other]))
    assert one.sequential_steps == pytest.approx([5.0, 5.0])
    assert one.untimed_calls == 2, "a tool that the run does not list takes no time"
    both = Summary()
    both.include(one)
    both.include(replay(kit, other, recorded_times([run, other])))
    assert both.as_json()["untimed_calls"] == 2


def test_runs_without_any_tool_time_have_no_recorded_latency(kit: Any) -> None:
    with pytest.raises(ConfigurationError, match="no run records"):
        recorded_times([timed(kit, [(1.0, [("read", 1, None)])])])


def cli(monkeypatch: Any, capsys: Any, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["specflow", "replay", *words, "--policy", "p.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command_takes_recorded_times(kit: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(kit.policy)
    turn = kit.answer(4.0, ("read", {"id": 1}), ("read", {"id": 2}))
    bare = kit.record(turn)
    turn = json.loads(json.dumps(turn))
    turn["tool_results"][0]["seconds"] = 3.0
    Path("runs.jsonl").write_text(json.dumps(kit.record(turn)) + "\n")
    Path("bare.jsonl").write_text(json.dumps(bare) + "\n")

    options = ("--tool-latency", "recorded", "--predictors", "sniffer")
    code, out, _ = cli(monkeypatch, capsys, "runs.jsonl", *options, "--json", "-o", "page.html")
    found = json.loads(out)
    assert (code, found["sequential_seconds"], found["untimed_calls"]) == (0, 7.0, 1)
    page = Path("page.html").read_text()
    assert "tools that take the time that was recorded" in page
    assert "1 calls have no recorded time" in page
    _, out, _ = cli(monkeypatch, capsys, "runs.jsonl", *options)
    assert "with tools that take the time that was recorded" in out
    assert "1 of 2 calls have no recorded time: they take the median of their tool, or of all tools." in out

    swept = ("--sweep", "tool-latency=recorded,5s", "--predictors", "sniffer", "--json")
    _, out, _ = cli(monkeypatch, capsys, "runs.jsonl", *swept)
    rows = json.loads(out)["sweep"]
    assert [(row["value"], row["sequential_seconds"]) for row in rows] == [("recorded", 7.0), ("5s", 9.0)]

    code, out, err = cli(monkeypatch, capsys, "bare.jsonl", *options)
    assert (code, out) == (2, "")
    assert "no run records how long a tool took" in err
    assert cli(monkeypatch, capsys, "bare.jsonl", "--sweep", "tool-latency=recorded")[0] == 2
    score = ("--score-only", "--predictors", "sniffer", "--json")
    assert cli(monkeypatch, capsys, "bare.jsonl", *score, "--tool-latency", "recorded")[0] == 0


TRACES = Path(__file__).parents[2] / "examples" / "traces"
RETAIL = Path(__file__).parents[2] / "policies" / "retail.yaml"


@pytest.mark.parametrize("kind", ["langsmith", "otel"])
def test_converted_traces_take_what_they_took(
    kind: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(RETAIL.read_text())
    monkeypatch.setattr(
        sys,
        "argv",
        ["specflow", "traces", "convert", str(TRACES / f"support.{kind}.jsonl"), "-o", "runs.jsonl"],
    )
    with pytest.raises(SystemExit):
        main()
    took = 0.0
    for run in read_runs("runs.jsonl"):
        for turn in run.turns:
            assert turn.gen_s is not None or turn.role != "assistant"
            took += (turn.gen_s or 0) + max((one.seconds or 0 for one in turn.results), default=0)
    capsys.readouterr()
    options = ("--tool-latency", "recorded", "--predictors", "partial_call", "--json")
    found = json.loads(cli(monkeypatch, capsys, "runs.jsonl", *options)[1])
    assert found["untimed_calls"] == 0
    assert found["calls"] + found["unknown"] == 12
    assert found["sequential_seconds"] == pytest.approx(took, abs=0.002)
