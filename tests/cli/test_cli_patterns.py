"""`specflow patterns` and `specflow replay --score-only`, through the real entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from specflow.cli import main

POLICY = """version: 1
tools:
  look_up_order: {effect: read_only, speculate: now, destinations: {host: shop.example}}
  drop_order: {effect: confirmation_required, confirm: host}
"""
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}


def line(task: int, says: str = "Let me check the whereabouts of {}.") -> str:
    order = f"Q-{1007 + 13 * task}"
    result = {"id": "c", "content": json.dumps({"order_id": order, "status": "sent"})}
    turns = [
        {"role": "user", "content": f"Where is {order}?"},
        {
            "role": "assistant",
            "content": says.format(order),
            "gen_s": 1.0,
            "tool_calls": [{"id": "c", "name": "look_up_order", "args": {"order_id": order}}],
            "tool_results": [result],
        },
        {"role": "assistant", "content": "Sent.", "gen_s": 1.0},
    ]
    tools = [
        {"name": name, "description": name, "parameters": SCHEMA} for name in ("look_up_order", "drop_order")
    ]
    return json.dumps({"model": "m", "task_id": task, "tools": tools, "turns": turns}) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "runs.jsonl").write_text("".join(map(line, range(6))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def go(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["specflow", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        code = ended.value.code
        return (code if isinstance(code, int) else 0), said.out, said.err

    return go


def test_patterns_are_trained_and_shown(folder: Path, run: Any) -> None:
    code, out, err = run("patterns", "train", "runs.jsonl", "--policy", "p.yaml", "-o", "patterns.json")
    assert (code, err) == (0, "")
    assert out == "patterns.json: learned from 6 runs, 12 steps\n"
    code, out, _ = run("patterns", "show", "patterns.json")
    assert code == 0
    assert "look_up_order(order_id)" in out
    assert "100.0%      6  user~" in out
    assert "Q-10" not in out + (folder / "patterns.json").read_text()
    found = json.loads(run("patterns", "show", "patterns.json", "--json", "--tool", "look_up_order")[1])
    assert found["conversations"] == 6
    first = found["flows"][0]
    assert first == {**first, "tool": "look_up_order", "parameter": "order_id", "count": 6, "share": 1.0}
    assert json.loads(run("patterns", "show", "patterns.json", "--json", "--tool", "none")[1])["flows"] == []


def test_what_is_over_after_it_has_succeeded_is_shown(folder: Path, run: Any) -> None:
    run("patterns", "train", "runs.jsonl", "--policy", "p.yaml", "-o", "patterns.json")
    # After each of the six calls came one answer, which called nothing.
    assert "   0.0%      0 of 6  look_up_order\n" in run("patterns", "show", "patterns.json")[1]
    found = json.loads((folder / "patterns.json").read_text())
    assert found["tables"]["settled"] == {"look_up_order": [6, 0]}
    found["tables"]["settled"] = {"look_up_order": [2_000, 1], "other": [2_000, 40]}
    (folder / "patterns.json").write_text(json.dumps(found))
    out = run("patterns", "show", "patterns.json")[1]
    assert "   0.1%      1 of 2000  look_up_order  (over: not looked at any more)\n" in out
    assert "   2.0%     40 of 2000  other\n" in out
    rows = json.loads(run("patterns", "show", "patterns.json", "--json", "--tool", "other")[1])["again"]
    assert rows == [{"tool": "other", "settled": 2_000, "again": 40, "over": False}]


def test_the_words_that_announce_a_call_are_shown(folder: Path, run: Any) -> None:
    assert run("patterns", "train", "runs.jsonl", "-o", "patterns.json")[0] == 0
    out = run("patterns", "show", "patterns.json")[1]
    assert "look_up_order after the words\n" in out
    assert "78.6%      6  whereabout\n" in out
    found = json.loads(run("patterns", "show", "patterns.json", "--json")[1])["phrases"]
    assert {"tool": "look_up_order", "phrase": "check", "count": 6, "share": 0.7857} in found
    assert run("patterns", "train", "runs.jsonl", "-o", "patterns.json", "--no-phrases")[0] == 0
    assert json.loads(run("patterns", "show", "patterns.json", "--json")[1])["phrases"] == []


def test_what_the_sniffers_word_is_worth_is_learned_as_well(folder: Path, run: Any) -> None:
    (folder / "runs.jsonl").write_text(
        "".join(line(task, "I will look up the order {}.") for task in range(6))
    )
    assert run("patterns", "train", "runs.jsonl", "-o", "patterns.json")[0] == 0
    stages = json.loads((folder / "patterns.json").read_text())["stages"]
    assert {"history", "sniffer"} <= {key[1] for key, _ in stages}


def journey(task: int) -> str:
    """A conversation in which two arguments stand together in six records alike."""
    ends = {"origin": f"town-{task}", "target": f"city-{task}"}
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in ends}}
    calls = [
        ("list_journeys", {}, dict.fromkeys(("air", "rail", "road", "sea", "walk", "cycle"), ends)),
        ("find_journey", ends, {"found": "no"}),
    ]
    turns: list[dict[str, Any]] = [{"role": "user", "content": "Where to?"}]
    turns += [
        {
            "role": "assistant",
            "gen_s": 1.0,
            "tool_calls": [{"id": "c", "name": name, "args": args}],
            "tool_results": [{"id": "c", "content": json.dumps(result)}],
        }
        for name, args, result in calls
    ]
    tools = [{"name": name, "description": name, "parameters": schema} for name, _, _ in calls]
    return json.dumps({"model": "m", "task_id": task, "tools": tools, "turns": turns}) + "\n"


def test_the_same_runs_teach_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text("".join(map(journey, range(4))))
    said = set()
    for seed in range(4):
        words = [sys.executable, "-c", "from specflow.cli import main; main()"]
        words += ["patterns", "train", "runs.jsonl", "-o", "patterns.json"]
        env = os.environ | {"PYTHONHASHSEED": str(seed)}
        subprocess.run(words, cwd=tmp_path, env=env, check=True, capture_output=True)
        found = json.loads((tmp_path / "patterns.json").read_text())
        assert len(found["tables"]["joins"]["find_journey"]) == 6
        del found["salt"]  # which is meant to be another one in each
        said.add(json.dumps(found))
    assert len(said) == 1


def test_without_a_policy_names_say_what_reads(folder: Path, run: Any) -> None:
    found = json.loads(run("patterns", "train", "runs.jsonl", "-o", "patterns.json", "--json")[1])
    assert found == {"file": "patterns.json", "runs": 6, "steps": 12}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "none.jsonl", "-o", "x.json"], "none.jsonl: cannot be opened"),
        (["train", "empty.jsonl", "-o", "x.json"], "there is no run to learn from"),
        (["train", "runs.jsonl", "-o", "no/such/x.json"], "cannot be written"),
        (["show", "none.json"], "none.json: cannot be opened"),
        (["show", "p.yaml"], "p.yaml: not JSON"),
    ],
)
def test_bad_input_gets_one_clear_line(folder: Path, run: Any, words: list[str], said: str) -> None:
    (folder / "empty.jsonl").write_text("")
    code, out, err = run("patterns", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("specflow: ")


def test_scoring_plays_nothing_and_says_how_sure_it_is(folder: Path, run: Any) -> None:
    words = ("replay", "runs.jsonl", "--policy", "p.yaml", "--score-only", "--predictors", "history")
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["runs"], found["steps"], found["launched"], found["calls"]) == (6, 12, 0, 0)
    row = found["predictors"]["history"]
    assert (row["n"], row["top1"], row["top3"]) == (6, 1.0, 1.0)
    assert row["reads"]["top1_interval"] == [1.0, 1.0]
    assert row["every_step"]["n"] == 12
    assert row["tasks"] == 6
    _, out, _ = run(*words)
    assert "6 runs, 12 steps; nothing was played" in out
    assert "first calls that are reads: top-1 1.000 [1.000, 1.000]" in out


def test_runs_of_other_files_teach_as_well(folder: Path, run: Any) -> None:
    (folder / "one.jsonl").write_text(line(50))
    words = ("replay", "one.jsonl", "--policy", "p.yaml", "--score-only", "--predictors", "history", "--json")
    alone = json.loads(run(*words)[1])["predictors"]["history"]
    taught = json.loads(run(*words, "--train", "runs.jsonl")[1])["predictors"]["history"]
    assert (alone["top1"], taught["top1"]) == (0.0, 1.0)
    # Never by the run itself.
    assert json.loads(run(*words, "--train", "one.jsonl")[1])["predictors"]["history"]["top1"] == 0.0


def test_scoring_and_playing_agree(folder: Path, run: Any) -> None:
    words = ("replay", "runs.jsonl", "--policy", "p.yaml", "--json")
    scored = json.loads(run(*words, "--score-only")[1])["predictors"]
    played = json.loads(run(*words)[1])["predictors"]
    assert scored == played


def test_scoring_is_not_for_each(folder: Path, run: Any) -> None:
    code, _, err = run("replay", "runs.jsonl", "--policy", "p.yaml", "--score-only", "--each")
    assert code == 2
    assert "--score-only plays nothing" in err
