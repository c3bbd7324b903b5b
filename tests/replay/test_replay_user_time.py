"""Users who take their time: it counts in no step, and reads that live on grow older."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from specflow.cli import main
from specflow.effects.call import Call
from specflow.policy.load import loads
from specflow.replay.latency import latency
from specflow.replay.simulate import Played, Tools, play
from specflow.replay.steps import steps_of, tools_of
from specflow.replay.summary import Summary, replay_run

GO_ON = {"role": "user", "content": "go on"}
LASTING = ("lasting", {"id": 1})


def dialogue(kit: Any) -> Any:
    return kit.run(GO_ON, kit.answer(1.0), GO_ON, kit.answer(1.0, LASTING), kit.answer(2.0))


def replayed(kit: Any, user_takes: float | None, scope: str = "tenant", sure: float = 1.0) -> Summary:
    policy = kit.policy.replace("scope: session", f"scope: {scope}")
    return replay_run(
        dialogue(kit),
        Summary(),
        judge_for=lambda registry: loads(policy, tools=registry),
        predictors=[kit.guesser([[(0, Call(tool=LASTING[0], args=LASTING[1]), sure)], [], []])],
        latency=latency("5s"),
        user_takes=user_takes,
    )


def played(kit: Any, user_takes: float, speed: float | None = None) -> Played:
    steps = tuple(steps_of(dialogue(kit)))
    bodies = Tools(steps, latency("5s"))
    registry = tools_of(dialogue(kit), bodies)
    judge = loads(kit.policy, tools=registry)
    return play(
        steps,
        registry=registry,
        judge=judge,
        tools=bodies,
        predictors=(),
        speed=speed,
        user_takes=user_takes,
    )


def test_the_users_time_passes_before_each_answer_but_the_first(kit: Any) -> None:
    done = played(kit, 20.0)
    assert done.begins == pytest.approx((0.0, 21.0, 27.0))
    assert done.steps == pytest.approx((1.0, 6.0, 2.0))
    assert done.seconds == pytest.approx(9.0)


def test_by_the_wall_clock_it_is_waited_as_well(kit: Any) -> None:
    done = played(kit, 20.0, speed=200.0)
    # Sleeps may end late but never early.
    assert done.begins[1] >= done.begins[0] + done.steps[0] + 20.0


def test_a_read_that_lives_on_has_that_time_to_finish_and_grows_older(kit: Any) -> None:
    """It takes 5 s, is begun in the first step, 1 s long, and is good for 30 s."""
    found = {takes: replayed(kit, takes) for takes in (4.5, 20.0, 28.0, 40.0)}
    assert {takes: one.saved_seconds for takes, one in found.items()} == pytest.approx(
        {4.5: 5.0, 20.0: 5.0, 28.0: 5.0, 40.0: 0.0}
    )
    assert {one.sequential_seconds for one in found.values()} == {9.0}
    for one in found.values():
        assert one.regret_seconds == pytest.approx(0.0), "what is too old is no loss"
        assert one.oracle_seconds == pytest.approx(5.0)
    assert found[20.0].outcomes["hit"] == 1


def test_the_bound_knows_for_how_long_a_guess_could_have_been_under_way(kit: Any) -> None:
    """Nobody believed it: it would have been begun 1 s before the user's turn, and that before the call."""
    withheld = {
        takes: replayed(kit, takes, sure=0.1).regret_withheld_seconds for takes in (0.0, 2.0, 20.0, 40.0)
    }
    # Without the user's time it ends at 5 s instead of 7 s.
    assert withheld == pytest.approx({0.0: 2.0, 2.0: 4.0, 20.0: 5.0, 40.0: 0.0})
    assert replayed(kit, 20.0, scope="session", sure=0.1).regret_seconds == pytest.approx(0.0)


def test_what_has_not_been_said_is_not_in_the_json(kit: Any) -> None:
    assert "user_seconds" not in replayed(kit, None).as_json()
    total = Summary()
    for takes in (20.0, 0.0, 1.5):
        total.include(replayed(kit, takes))
    assert total.as_json()["user_seconds"] == 21.5
    assert replayed(kit, 0.0).as_json()["user_seconds"] == 0.0


def cli(monkeypatch: Any, capsys: Any, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["specflow", "replay", "runs.jsonl", "--policy", "p.yaml", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def folder(kit: Any, tmp_path: Path, monkeypatch: Any) -> Path:
    turns = (GO_ON, kit.answer(1.0), GO_ON, kit.answer(1.0, LASTING), GO_ON, kit.answer(2.0))
    (tmp_path / "runs.jsonl").write_text(json.dumps(kit.record(*turns)) + "\n")
    (tmp_path / "p.yaml").write_text(kit.policy)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_takes_and_sweeps_it(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    words = ("--user-takes", "20s", "--sweep", "user-takes=0s,7", "--predictors", "sniffer")
    code, out, err = cli(monkeypatch, capsys, *words, "--json", "-o", "page.html")
    found = json.loads(out)
    assert (code, err) == (0, "page.html is written\n")
    assert found["user_seconds"] == 40.0
    assert [(row["sweep"], row["value"], row["user_seconds"]) for row in found["sweep"]] == [
        ("user-takes", "0s", 0.0),
        ("user-takes", "7", 14.0),
    ]
    assert "Users took 40 s to answer" in (folder / "page.html").read_text()
    code, out, err = cli(monkeypatch, capsys, *words)
    assert "Users took 40 s to answer" in out
    assert "user-takes  hits" in out
    assert "Users took" not in cli(monkeypatch, capsys, "--predictors", "sniffer")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--user-takes", "soon"], "'soon' is no number of seconds"),
        (["--user-takes", "-1s"], "'-1s' is no number of seconds"),
        (["--user-takes", "nan"], "'nan' is no number of seconds"),
        (["--sweep", "user-takes=recorded"], "'recorded' is no number of seconds"),
        (["--score-only", "--user-takes", "1s"], "--score-only plays nothing"),
    ],
)
def test_what_is_no_time_gets_one_clear_line(
    folder: Path, monkeypatch: Any, capsys: Any, words: list[str], said: str
) -> None:
    code, out, err = cli(monkeypatch, capsys, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) <= 2
