"""`specflow traces`, and `specflow replay` on traces of other programs, through the real entry point."""

from __future__ import annotations

import json
import lzma
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from specflow.cli import main
from specflow.traces.recorded import read_runs

POLICY = """version: 1
tools:
  look: {effect: read_only, speculate: now, destinations: {host: shop.example}}
"""
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks up.", "parameters": SCHEMA}}


def conversation(order: str, **more: Any) -> dict[str, Any]:
    """As for fine-tuning: no times, no tool times."""
    function = {"name": "look", "arguments": json.dumps({"order_id": order})}
    calls = [{"id": "c1", "type": "function", "function": function}]
    messages = [
        {"role": "user", "content": f"Where is {order}?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
        {"role": "assistant", "content": "On its way.", "reasoning_content": "The tool says so."},
    ]  # fmt: skip
    return {"messages": messages, "tools": [TOOL], "model": "gpt", **more}


def trace(order: str) -> list[dict[str, Any]]:
    """A trace of LangSmith: two requests and a run of the tool, children first."""
    first, said, answer, last = conversation(order)["messages"]

    def run(number: int, kind: str, began: int, ended: int, **more: Any) -> dict[str, Any]:
        times = {"start_time": f"2026-01-01T00:00:{began:02}Z", "end_time": f"2026-01-01T00:00:{ended:02}Z"}
        of = {"id": f"{order}{number}", "trace_id": order, "parent_run_id": order, "run_type": kind}
        return {**of, **times, "extra": {"invocation_params": {"tools": [TOOL], "model": "gpt"}}, **more}

    return [
        run(3, "llm", 6, 8, inputs={"messages": [first, said, answer]}, outputs={"message": last}),
        run(2, "tool", 3, 6, name="look", inputs={"order_id": order}, outputs={"output": "on its way"}),
        run(1, "llm", 0, 3, inputs={"messages": [first]}, outputs={"message": said}),
        {"id": order, "trace_id": order, "run_type": "chain"},
    ]


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "p.yaml").write_text(POLICY)
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


def test_traces_become_runs_that_can_be_replayed(folder: Path, run: Any) -> None:
    lines = [line for order in ("A-1", "B-2", "C-3") for line in trace(order)]
    write(folder / "t.jsonl", *lines)
    code, out, err = run("traces", "convert", "t.jsonl", "-o", "runs.jsonl.xz", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["runs"], found["steps"], found["timed_steps"]) == (3, 6, 6)
    assert found["tool_latency"] == "lognormal:3,0.00"
    assert found["files"] == {"t.jsonl": "langsmith"}
    runs = list(read_runs("runs.jsonl.xz"))
    assert [one.task_id for one in runs] == ["A-1", "B-2", "C-3"]
    assert [turn.gen_s for turn in runs[0].answers] == [3.0, 2.0]
    words = ("--policy", "p.yaml", "--json", "--tool-latency", "3s")
    converted = run("replay", "runs.jsonl.xz", *words)
    direct = run("replay", "t.jsonl", *words)
    assert converted == direct
    replayed = json.loads(direct[1])
    assert (replayed["runs"], replayed["steps"], replayed["untimed_steps"]) == (3, 6, 0)
    assert replayed["sequential_seconds"] == 3 * (3 + 3 + 2)


def test_what_has_no_times_is_said_to_have_none(folder: Path, run: Any) -> None:
    write(folder / "t.jsonl", conversation("A-1"), conversation("B-2"))
    code, out, _ = run("traces", "check", "t.jsonl", "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["steps"], found["timed_steps"], found["calls_with_tool_time"]) == (4, 0, 0)
    assert found["tool_latency"] is None
    grave = {one["code"]: one["count"] for one in found["findings"] if one["level"] == "finding"}
    assert grave == {"no_times": 4}
    notes = {one["code"]: one["count"] for one in found["findings"] if one["level"] == "note"}
    assert notes == {"no_reasoning": 2, "no_tool_times": 2}
    code, out, _ = run("traces", "check", "t.jsonl")
    assert code == 1
    assert "finding: 4 of 4 steps have no recorded time" in out
    assert "50 tokens a second" in out
    _, out, _ = run("replay", "t.jsonl", "--policy", "p.yaml", "--json")
    assert json.loads(out)["untimed_steps"] == 4


def test_tools_that_nobody_described(folder: Path, run: Any) -> None:
    write(folder / "t.jsonl", {**conversation("A-1"), "tools": []}, {**conversation("B-2"), "tools": []})
    _, out, _ = run("traces", "check", "t.jsonl", "--json")
    finding = next(one for one in json.loads(out)["findings"] if one["code"] == "no_schemas")
    assert finding["count"] == 2
    assert finding["message"].endswith(": look")
    (folder / "tools.json").write_text(json.dumps([TOOL]))
    _, out, _ = run("traces", "convert", "t.jsonl", "-o", "r.jsonl", "--tools", "tools.json", "--json")
    assert json.loads(out)["calls_with_schema"] == 2
    assert [tool["name"] for one in read_runs("r.jsonl") for tool in one.tools] == ["look", "look"]


def test_broken_runs_are_left_out_and_named(folder: Path, run: Any) -> None:
    bad = conversation("X")
    bad["messages"][1]["tool_calls"][0]["function"]["arguments"] = '{"order_id": '
    reaching = conversation("Y", tools=[{"name": "look", "parameters": {"$ref": "http://127.0.0.1:9/x"}}])
    write(folder / "t.jsonl", conversation("A-1"), bad, reaching, conversation("Ä-2 預約"), '{"messages": [')
    code, out, _ = run("traces", "convert", "t.jsonl", "-o", "r.jsonl")
    assert code == 1
    assert "finding: 3 records or runs were left out" in out
    assert "  t.jsonl:2: messages.1: the arguments of 'look' are not JSON: " in out
    assert (
        "  t.jsonl:3: tools.0 (look): parameters: $ref 'http://127.0.0.1:9/x' leads out of the schema" in out
    )
    assert "  t.jsonl:5: not JSON: " in out
    said = [one.turns[0].content for one in read_runs("r.jsonl")]
    assert said == ["Where is A-1?", "Where is Ä-2 預約?"]
    assert "Ä-2 預約" in (folder / "r.jsonl").read_text()
    code, out, err = run("replay", "t.jsonl", "--policy", "p.yaml", "--json")
    assert (code, json.loads(out)["runs"]) == (0, 2)
    assert [line.split(": ")[1] for line in err.splitlines()] == ["t.jsonl:2", "t.jsonl:3", "t.jsonl:5"]


def test_the_format_can_be_forced(folder: Path, run: Any) -> None:
    write(folder / "t.jsonl", conversation("A-1", run_type="?", id="i"))
    code, _, err = run("traces", "check", "t.jsonl")
    assert code == 2
    assert "no run can be read; 1 traces hold no request to a model that can be seen" in err
    code, out, _ = run("traces", "check", "t.jsonl", "--format", "openai", "--json")
    assert (code, json.loads(out)["runs"]) == (1, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "none.jsonl"], "none.jsonl: cannot be opened"),
        (["check", "empty.jsonl"], "no run can be read"),
        (["check", "p.yaml"], "p.yaml: no line can be read; p.yaml:3: not JSON"),
        (["check", "bad.jsonl.xz"], "bad.jsonl.xz:1: cannot be read"),
        (["convert", "t.jsonl", "-o", "t.jsonl"], "t.jsonl: would be written over what is read"),
        (["convert", "t.jsonl", "-o", "no/such/r.jsonl"], "cannot be written"),
        (["convert", "t.jsonl", "-o", "r.jsonl", "--tools", "p.yaml"], "p.yaml: not JSON"),
        (["convert", "t.jsonl", "-o", "r.jsonl", "--tools", "none.json"], "none.json: cannot be read"),
        (["convert", "empty.jsonl", "-o", "r.jsonl"], "no run can be read"),
    ],
)
def test_bad_input_gets_one_clear_line(folder: Path, run: Any, words: list[str], said: str) -> None:
    write(folder / "t.jsonl", conversation("A-1"))
    (folder / "empty.jsonl").write_text("")
    (folder / "bad.jsonl.xz").write_text("no xz")
    before = sorted(path.name for path in folder.iterdir())
    code, out, err = run("traces", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "how", "code"),
    [
        ("r.jsonl", signal.SIGINT, 130),
        ("r.jsonl.xz", signal.SIGINT, 130),
        ("r.jsonl", signal.SIGTERM, 143),
        ("r.jsonl.xz", signal.SIGHUP, 129),
    ],
)
def test_an_interruption_leaves_the_old_file_and_no_half_one(
    folder: Path, name: str, how: signal.Signals, code: int
) -> None:
    (folder / name).write_text("as it was")
    assert signalled(folder, name, how) == code
    assert (folder / name).read_text() == "as it was"
    assert list(folder.glob(".r.jsonl*")) == []


def test_a_terminal_that_may_go_away_ends_nothing(folder: Path) -> None:
    """As under nohup."""
    assert signalled(folder, "r.jsonl", signal.SIGHUP, deaf=True) == 1, "written, with findings"
    assert json.loads((folder / "r.jsonl").read_text())["source"] == "openai"


def signalled(folder: Path, name: str, how: signal.Signals, *, deaf: bool = False) -> int:
    """The exit code of a conversion that gets a signal as it writes; `deaf`: it was started to ignore it."""
    os.mkfifo(folder / "slow.jsonl")
    ignore = f"import signal; signal.signal({int(how)}, signal.SIG_IGN); " if deaf else ""
    words = [sys.executable, "-c", f"{ignore}from specflow.cli import main; main()", "traces", "convert"]
    with subprocess.Popen(
        [*words, "slow.jsonl", "-o", name], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        try:
            with (folder / "slow.jsonl").open("w") as slow:
                slow.write(json.dumps(conversation("A-1")) + "\n")
                slow.flush()
                until = time.monotonic() + 60
                while not list(folder.glob(".r.jsonl*")):  # it has begun to write
                    assert time.monotonic() < until
                    time.sleep(0.02)
                child.send_signal(how)
                if not deaf:
                    child.communicate(timeout=60)
            child.communicate(timeout=60)
        finally:
            child.kill()
    return child.returncode


def test_the_file_is_packed_and_for_its_owner_alone(folder: Path, run: Any) -> None:
    write(folder / "t.jsonl", conversation("A-1"))
    run("traces", "convert", "t.jsonl", "-o", "r.jsonl.xz")
    assert json.loads(lzma.decompress((folder / "r.jsonl.xz").read_bytes()))["source"] == "openai"
    assert (folder / "r.jsonl.xz").stat().st_mode & 0o077 == 0


def test_a_time_that_no_answer_takes_leaves_its_run_out(folder: Path, run: Any) -> None:
    late = trace("B-2")
    late[2]["start_time"] = "1999-01-01T00:00:00Z"
    write(folder / "t.jsonl", *trace("A-1"), *late)
    code, out, err = run("replay", "t.jsonl", "--policy", "p.yaml", "--json")
    assert (code, json.loads(out)["runs"]) == (0, 1)
    assert err == "left out: t.jsonl:7: an answer that took longer than any does\n"
