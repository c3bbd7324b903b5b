"""`specflow replay` with sweeps, shuffled words and money, and how far it has come on a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from specflow.cli import main

POLICY = """version: 1
defaults: {speculation: {min_confidence: 0.5}}
tools:
  look_up_order: {effect: read_only, speculate: now, destinations: {host: shop.example}}
"""
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
TOOL = {"name": "look_up_order", "description": "Look up an order.", "parameters": SCHEMA}


def line(order: str = "A-1007", said: str = "", seconds: float = 4.0) -> str:
    call = {"id": "c", "name": "look_up_order", "args": {"order_id": order}}
    words = f"I will look up order {said or order}. " + "The weather is fine. " * 20
    turns = [
        {"role": "user", "content": f"Where is {order}? Or was it {said}?"},
        {"role": "assistant", "reasoning": words, "gen_s": seconds, "tool_calls": [call]},
        {"role": "assistant", "content": "Here.", "gen_s": seconds},
    ]
    return json.dumps({"model": "fast", "task_id": 1, "tools": [TOOL], "turns": turns}) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "runs.jsonl").write_text(line() + line(said="B-2001"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, capsys: Any, *words: str) -> tuple[int, str, str]:
    command = ["specflow", "replay", "runs.jsonl", "--policy", "p.yaml", "--predictors", "sniffer", *words]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return (ended.value.code if isinstance(ended.value.code, int) else 0), said.out, said.err


SWEEPS = ("--sweep", "threshold=0.1,1", "--sweep", "tool-latency=1s", "--shuffle-text", "--shuffle-seed", "5")


def test_sweeps_and_shuffled_words_in_json(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    code, out, _ = run(monkeypatch, capsys, *SWEEPS, "--json")
    found = json.loads(out)
    assert code == 0
    assert [(row["sweep"], row["value"]) for row in found["sweep"]] == [
        ("threshold", "0.1"),
        ("threshold", "1"),
        ("tool-latency", "1s"),
    ]
    for row in (*found["sweep"], found["shuffled"]):
        assert row.keys() >= {
            *("hits", "launched", "wasted_calls", "saved_seconds", "oracle_seconds", "regret_seconds"),
            *("precision", "recall", "money"),
        }
    assert found["shuffled"]["seed"] == 5
    assert found["misfires"]["wrong_argument"] == 1
    assert found["misfires_by_predictor"].keys() == {"sniffer"}


def test_sweeps_misfires_and_money_for_people(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(monkeypatch, capsys, *SWEEPS)
    for shown in ("threshold  hits", "tool-latency  hits", "words, seed 5", "as spoken", "shuffled"):
        assert shown in out
    assert "sniffer: 1 (1 wrong argument)" in out
    assert "saved 2.0 s, worth 0.02 USD; 1 wasted calls, 0.00 USD; net 0.02 USD" in out
    assert max(map(len, out.splitlines())) <= 84


def test_without_them_nothing_of_the_kind_is_said(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    _, out, _ = run(monkeypatch, capsys, "--json")
    assert not {"sweep", "shuffled"} & json.loads(out).keys()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sweep", "depth=1"], "'depth=1' is no sweep"),
        (["--sweep", "threshold=2"], "a threshold of '2' cannot be"),
        (["--score-only", "--sweep", "threshold=0.5"], "--score-only plays nothing"),
    ],
)
def test_bad_sweeps_get_one_clear_line(
    folder: Path, monkeypatch: Any, capsys: Any, words: list[str], said: str
) -> None:
    code, out, err = run(monkeypatch, capsys, *words)
    assert (code, out) == (2, "")
    assert said in err


def on_a_terminal(folder: Path, *words: str) -> tuple[str, str]:
    """What the command says on standard output and on a terminal that is its standard error."""
    pty = pytest.importorskip("pty", reason="no terminals of that kind here")
    ours, theirs = pty.openpty()
    with (folder / "out").open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", "from specflow.cli import main; main()", "replay", "runs.jsonl", *words],
            cwd=folder,
            stdout=out,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
    os.close(theirs)
    shown = b""
    try:
        # While it runs: a terminal that nobody reads is full soon, and then whoever writes to it waits.
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # the other end is closed
    child.wait(timeout=60)
    os.close(ours)
    assert child.returncode == 0, shown
    return (folder / "out").read_text(), shown.decode()


@pytest.mark.slow
def test_a_long_replay_shows_how_far_it_has_come(folder: Path) -> None:
    # By the wall clock, twice some 10 s for each run at four times the speed.
    words = ("--policy", "p.yaml", "--json", "--real-time", "--speed", "4")
    out, shown = on_a_terminal(folder, *words)
    assert json.loads(out)["runs"] == 2
    assert "replaying fast, task 1" in shown
    assert "1/2" in shown


def test_a_short_one_shows_nothing(folder: Path, monkeypatch: Any) -> None:
    from specflow.cli import replay_runs

    assert replay_runs.PATIENCE == 1.0
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(replay_runs, "PATIENCE", 1000.0)
    from rich.progress import Progress

    started: list[object] = []
    monkeypatch.setattr(Progress, "start", started.append)
    with replay_runs.progress() as tell:
        tell("something", 1, 2)
    assert started == []


def test_a_page_is_written_beside_the_json(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    words = ("--predictors", "sniffer,partial_call", "--json", "-o", "page.html")
    code, out, err = run(monkeypatch, capsys, *words)
    found = json.loads(out)
    assert (code, err) == (0, "page.html is written\n")
    text = (folder / "page.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert f'<data value="{found["saved_seconds"]!r}" data-of="saved_seconds">' in text
    # A page compares predictors, asked for or not.
    assert [row["set"] for row in found["by_predictor_set"]][1:] == [["sniffer"], ["partial_call"]]
    code, _, err = run(monkeypatch, capsys, "-o", "nowhere/page.html")
    assert code == 2
    assert "nowhere/page.html: cannot be written" in err


def test_every_key_of_the_json_is_in_the_reference(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "replay.md"
    told = set(re.findall(r"`(\w+)`", page.read_text()))
    _, out, _ = run(monkeypatch, capsys, *SWEEPS, "--each", "--predictors", "sniffer,partial_call", "--json")
    found = json.loads(out)
    rows = [found, *found["by_predictor_set"], *found["sweep"], found["shuffled"], found["money"]]
    rows += [*found["predictors"].values(), *found["by_tool"].values(), found["loose"]]
    rows += [point for row in found["predictors"].values() for point in (*row["curve"], *row["reliability"])]
    assert not {key for row in rows for key in row} - told
