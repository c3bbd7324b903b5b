"""`specflow doctor` as it is called, over modules of users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from specflow.cli.program import app

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
    import specflow as sf
    from langchain.agents import create_agent
    from langgraph.checkpoint.memory import InMemorySaver
    from specflow.testing.chat_model import ScriptedChatModel

    print("the module says something")

    @sf.read_only
    def weather(city: str) -> str:
        "The weather."
        return city

    rt = sf.Runtime("policy.yaml", tools=[weather], journal="sqlite:///journal.db")
    agent = create_agent(ScriptedChatModel(script=[]), [weather], middleware=[rt.middleware()])

    def make():
        return agent

    async def amake():
        return agent

    def needs(city, more=1):
        return agent

    def wrong():
        return 3

    def breaks():
        raise RuntimeError("no \\x1b[2J database")

    def leaves():
        raise SystemExit(3)
"""


class Desk:
    """The command in a folder with a user's module."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        for name in [name for name in os.environ if name.startswith(("OTEL_", "JPY_"))]:
            monkeypatch.delenv(name)

    def doctor(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """What it prints: on stdout, or for code 2 on stderr."""
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)
        done = CliRunner().invoke(app, ["doctor", *arguments])
        for name in environment:
            self._monkeypatch.delenv(name)
        assert done.exit_code == code, (done.output, done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit)
        if code == 2:
            assert done.stdout == ""
            assert done.stderr.splitlines()[-1].startswith("specflow: ")
        return done.stderr if code == 2 else done.stdout


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    (tmp_path / "policy.yaml").write_text("version: 1\ntools:\n  weather: {effect: read_only}\n")
    (tmp_path / "shop.py").write_text(textwrap.dedent(GOOD))
    yield Desk(tmp_path, monkeypatch)
    for name in ("shop", "evil"):
        module = sys.modules.pop(name, None)
        if module is not None:
            module.rt.close()


def test_the_program_itself(desk: Desk) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from specflow.cli import main; main()", "doctor", "shop:agent"],
        cwd=desk.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 problems, 0 warnings" in done.stdout
    assert "\x1b" not in done.stdout
    assert "module says" in done.stderr


def test_all_is_well(desk: Desk) -> None:
    text = desk.doctor("shop:agent")
    assert "weather: read_only, early from confidence 0.6" in text
    assert "ScriptedChatModel(scripted): streams" in text
    assert "durability: power" in text
    assert "0 problems, 0 warnings" in text
    assert "module says" not in text
    found = json.loads(desk.doctor("shop:make", "--json"))
    assert found["ok"] is True
    assert {"area", "subject", "level", "found", "mend"} <= found["checks"][0].keys()
    assert sum(found["counts"].values()) == len(found["checks"])
    assert json.loads(desk.doctor("shop:amake", "--json"))["ok"] is True


def test_without_a_target_it_looks_around(desk: Desk) -> None:
    text = desk.doctor()
    assert "Python" in text
    assert "tool" not in {line for line in text.splitlines() if not line.startswith(" ")}
    assert list(desk.folder.glob("*.db")) == []
    read = desk.doctor("--policy", "policy.yaml", "--db", "none.db", code=1)
    assert "policy.yaml: hash" in read
    assert "there is no such file" in read
    assert list(desk.folder.glob("*.db")) == []


def test_what_surrounds_it_is_seen(desk: Desk) -> None:
    found = desk.doctor(code=1, OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4318", JPY_PARENT_PID="1")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set, but no provider" in found
    assert "await graph.ainvoke" in found
    assert "switched off" in desk.doctor(OTEL_SDK_DISABLED="true")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop"], "must be written pkg.mod:attr"),
        (["shop:nothing"], "no attribute 'nothing'"),
        (["nowhere:agent"], "No module named 'nowhere'"),
        (["shop:needs"], "it takes arguments (city)"),
        (["shop:wrong"], "int cannot be examined"),
        (["shop:breaks"], "RuntimeError: no \\x1b[2J database"),
        (["shop:leaves"], "SystemExit: 3"),
        (["shop:agent", "--db", "mysql://x"], "a journal cannot be kept in mysql"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(desk: Desk, arguments: list[str], said: str) -> None:
    assert said in desk.doctor(*arguments, code=2)


def test_a_wrong_key_is_one_line(desk: Desk) -> None:
    assert "SPECFLOW_JOURNAL_KEY" in desk.doctor(code=2, SPECFLOW_JOURNAL_KEY="nonsense")


def test_a_terminal_cannot_be_steered(desk: Desk) -> None:
    (desk.folder / "evil.py").write_text(
        'import specflow as sf\nfrom langchain_core.tools import tool\n@tool("a\\x1b[2J")\n'
        'def a(x: str) -> str:\n    "A."\n    return x\n'
        'rt = sf.Runtime("policy.yaml", tools=[a], journal="sqlite:///e.db")\n'
    )
    text: Any = desk.doctor("evil:rt", code=1)
    assert "\x1b" not in text
