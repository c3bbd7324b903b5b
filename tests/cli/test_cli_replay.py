"""`specflow replay`: the JSON programs rely on, the page people read, and one clear line for bad input."""

from __future__ import annotations

import json
import lzma
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from specflow.cli import main
from specflow.replay import summary

POLICY = """version: 1
defaults: {speculation: {min_confidence: 0.5}}
tools:
  look_up_order: {effect: read_only, speculate: now, destinations: {host: shop.example}}
"""
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
TOOL = {"name": "look_up_order", "description": "Look up an order.", "parameters": SCHEMA}


def line(model: str = "fast", seconds: float = 4.0) -> str:
    call = {"id": "c", "name": "look_up_order", "args": {"order_id": "A-1007"}}
    words = "I will look up order A-1007. " + "The weather is fine. " * 20
    turns = [
        {"role": "user", "content": "Where is A-1007?"},
        {"role": "assistant", "reasoning": words, "gen_s": seconds, "tool_calls": [call]},
        {"role": "assistant", "content": "Here.", "gen_s": seconds},
    ]
    return json.dumps({"model": model, "task_id": 1, "tools": [TOOL], "turns": turns}) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "runs.jsonl").write_text(line() + "\n" + line("[bold]slow[/bold]") + line())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of `specflow replay WORDS`, through the real entry point."""
    monkeypatch.setattr(sys, "argv", ["specflow", "replay", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    code = ended.value.code
    return (code if isinstance(code, int) else 0), said.out, said.err


def test_json_has_what_programs_rely_on(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    code, out, err = run(
        monkeypatch, capsys, "runs.jsonl", "--policy", "p.yaml", "--json", "--tool-latency", "2s"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    promised = {
        *("runs", "steps", "launched", "outcomes", "saved_seconds", "wasted_calls", "oracle_seconds"),
        *("regret_seconds", "predictors", "latency"),
    }
    assert promised <= found.keys()
    assert set(found["outcomes"]) == {"hit", "late", "miss", "stale", "cancelled", "compensated", "stuck"}
    assert found["predictors"].keys() == {"sniffer", "partial_call", "history"}
    assert found["predictors"]["sniffer"].keys() >= {"top1", "top3", "precision", "recall", "n"}
    for side in ("sequential", "speculative"):
        assert found["latency"][side].keys() == {"p50", "p95", "p99"}
    # Three runs of (4 + 2) + 4 s; the sniffer hears of the call long before it is written.
    assert (found["runs"], found["steps"], found["sequential_seconds"]) == (3, 6, 30.0)
    assert found["oracle_seconds"] == 6.0
    assert found["saved_seconds"] == 6.0
    assert found["outcomes"]["hit"] == 3
    assert found["regret_seconds"] == 0.0
    assert found["models"].keys() == {"fast", "[bold]slow[/bold]"}
    assert "by_predictor_set" not in found
    assert found["interrupted"] is False


def test_each_predictor_is_replayed_alone_when_asked(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    words = ("runs.jsonl", "--policy", "p.yaml", "--each")
    _, out, _ = run(monkeypatch, capsys, *words, "--json", "--predictors", "partial_call,sniffer,sniffer")
    rows = {tuple(row["set"]): row for row in json.loads(out)["by_predictor_set"]}
    assert list(rows) == [("partial_call", "sniffer"), ("partial_call",), ("sniffer",)]
    assert rows["sniffer",]["saved_seconds"] == 6.0
    assert 0 <= rows["partial_call",]["saved_seconds"] < 6.0
    assert rows["partial_call",]["regret_seconds"] > 0
    for row in rows.values():
        assert {"saved_seconds", "launched", "wasted_calls", "regret_seconds", "oracle_seconds"} <= row.keys()
    _, out, _ = run(monkeypatch, capsys, *words)
    # Together the early guess counts, and what the message repeats is no second call.
    together = "  sniffer+partial_call+history: saved 6.0 s (20.0 %), regret 0.0 s (0.0 %),\n"
    together += "    3 launched, 0 wasted"
    assert together in out
    assert "  sniffer: saved 6.0 s (20.0 %), regret 0.0 s" in out
    # Whatever the message repeats, the sniffer had said before; without the sniffer it is late.
    assert "  partial_call: +0.0 s saved" in out


def test_shares_are_of_the_sums_beside_them(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    words = ("runs.jsonl", "--policy", "p.yaml", "--predictors", "partial_call", "--sweep", "threshold=0.5,1")
    _, out, _ = run(monkeypatch, capsys, *words, "--json")
    found = json.loads(out)
    for row in (found, *found["sweep"]):
        saved, shares = row["saved_seconds"], row["shares"]
        wholes = {
            "saved_of_started": saved + row["regret_late_seconds"],
            "saved_of_said": saved + row["regret_begun_late_seconds"],
            "saved_of_right": saved + row["regret_seconds"],
            "saved_of_oracle": row["oracle_seconds"],
            "saved_of_chained_oracle": row["chained_oracle_seconds"],
            "saved_of_run_oracle": row["run_oracle_seconds"],
            "saved_of_known_oracle": row["known_oracle_seconds"],
        }
        for name, whole in wholes.items():
            value = shares[name]["value"]
            assert value == (pytest.approx(saved / whole, abs=1e-3) if whole else None), name
            low, high = shares[name]["interval"] or (value, value)
            assert whole == 0 or low <= value <= high
        wasted = shares["wasted_of_launched"]["value"]
        assert wasted == (row["wasted_calls"] / row["launched"] if row["launched"] else None)
    _, out, _ = run(monkeypatch, capsys, *words)
    assert f"  {found['shares']['saved_of_oracle']['value']:.3f}" in out


def test_what_a_predictor_adds_is_the_difference_to_the_same_without_it(
    folder: Path, monkeypatch: Any, capsys: Any
) -> None:
    words = ("runs.jsonl", "--policy", "p.yaml", "--each", "--json", "--predictors", "partial_call,sniffer")
    _, out, _ = run(monkeypatch, capsys, *words)
    found = json.loads(out)
    rows = {tuple(row["set"]): row for row in found["by_predictor_set"]}
    alone = {"sniffer": rows["partial_call",], "partial_call": rows["sniffer",]}
    for name, without in alone.items():
        adds = found["adds"][name]
        for part in ("saved_seconds", "launched", "wasted_calls"):
            assert adds[part] == pytest.approx(found[part] - without[part], abs=1e-3)
            low, high = adds["intervals"][part] or (adds[part], adds[part])
            assert low - 1e-3 <= adds[part] <= high + 1e-3
    assert found["adds"]["sniffer"]["saved_seconds"] > 0


@pytest.mark.parametrize("columns", [80, 200])
def test_the_page_fits_the_terminal(folder: Path, monkeypatch: Any, capsys: Any, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = run(monkeypatch, capsys, "runs.jsonl", "--policy", "p.yaml")
    assert code == 0
    assert max(map(len, out.splitlines())) <= columns
    for shown in (
        "[bold]slow[/bold]",
        "6.0 s (20.0 %)",
        "4.0 s (20.0 %)",
        "oracle",
        "regret",
        "sniffer: top-1 1.000",
    ):
        assert shown in out
    assert ("┃" in out) == (columns == 200)


def test_compressed_files_limits_and_models(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    (folder / "runs.jsonl.xz").write_bytes(lzma.compress((line() + line("slow")).encode()))
    words = ("runs.jsonl", "runs.jsonl.xz", "--policy", "p.yaml", "--json")
    for more, count in (((), 5), (("--limit", "4"), 4), (("--model", "slow"), 2)):
        _, out, _ = run(monkeypatch, capsys, *words, *more)
        assert json.loads(out)["runs"] == count


def test_wall_clock_time_gives_the_same_counts(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    words = ("runs.jsonl", "--policy", "p.yaml", "--json", "--limit", "1", "--real-time", "--speed", "20")
    code, out, _ = run(monkeypatch, capsys, *words)
    found = json.loads(out)
    assert (code, found["launched"], found["outcomes"]["hit"] + found["outcomes"]["late"]) == (0, 1, 1)
    # By the run's own clock, not by ours; sleeps never end early.
    assert found["sequential_seconds"] >= 9.9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: cannot be opened"),
        (["."], ".: cannot be opened"),
        (["text.jsonl"], "text.jsonl:2: not JSON"),
        (["unnamed.jsonl"], "unnamed.jsonl:1: tools.0: the tool has no name"),
        (["broken.jsonl.xz"], "broken.jsonl.xz:1: cannot be read"),
        (["runs.jsonl", "--tool-latency", "soon"], "'soon' is no latency"),
        (["runs.jsonl", "--predictors", "oracle"], "there is no predictor 'oracle'"),
        (["runs.jsonl", "--predictors", " , "], "no predictor was named"),
        (["runs.jsonl", "--model", "nobody"], "no run was replayed"),
        (["runs.jsonl", "--speed", "2"], "--speed needs --real-time"),
        (["runs.jsonl", "--policy", "bad.yaml"], "toolz"),
        (["runs.jsonl", "--policy", "nowhere.yaml"], "nowhere.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gets_one_clear_line(
    folder: Path, monkeypatch: Any, capsys: Any, words: list[str], said: str
) -> None:
    (folder / "text.jsonl").write_text(line() + "hello\n")
    (folder / "unnamed.jsonl").write_text('{"tools": [{}], "turns": []}\n')
    (folder / "broken.jsonl.xz").write_bytes(b"\xfd7zXZ\x00 and then nothing of the kind")
    (folder / "bad.yaml").write_text("version: 1\ntoolz: {}\n")
    policy = [] if "--policy" in words else ["--policy", "p.yaml"]
    code, out, err = run(monkeypatch, capsys, *words, *policy)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("specflow: ")


def test_an_interruption_prints_what_was_replayed(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    whole = summary.replay_run
    began: list[str] = []

    def interrupted(*args: Any, **options: Any) -> Any:
        began.append(options["place"])
        if len(began) == 3:
            raise KeyboardInterrupt
        return whole(*args, **options)

    monkeypatch.setattr(summary, "replay_run", interrupted)
    code, out, err = run(monkeypatch, capsys, "runs.jsonl", "--policy", "p.yaml", "--json")
    found = json.loads(out)
    assert (code, found["runs"], found["interrupted"]) == (130, 2, True)
    assert "interrupted: what follows is of the 2 runs" in err
    assert began == ["runs.jsonl:1", "runs.jsonl:3", "runs.jsonl:4"]


@pytest.mark.skipif(os.name == "nt", reason="no named pipes and no SIGINT to a child")
def test_control_c_ends_a_long_replay(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jsonl")
    words = ["replay", "pipe.jsonl", "--policy", "p.yaml", "--json", "--real-time"]
    words += ["--predictors", "sniffer"]  # history would read to the end of the pipe first
    child = subprocess.Popen(
        [sys.executable, "-c", "from specflow.cli import main; main()", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # Opening a pipe waits for its reader: the command is under way by then.
        with (folder / "pipe.jsonl").open("w") as pipe:
            pipe.write(line(seconds=100_000.0))
            pipe.flush()
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted: what follows is of the 0 runs" in err
    assert json.loads(out)["interrupted"] is True
