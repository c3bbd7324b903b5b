"""What an operator sees of claims, and how resolving a stuck effect ends them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from specflow.cli.program import app
from specflow.errors import ClaimedError
from specflow.journal.sql import SqlJournal
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import Bench, to_stage


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["journal", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def ask(url: str, question: Any) -> Any:
    async def asked() -> Any:
        bench = Bench(journal=SqlJournal.open(url), tag="x")
        try:
            return await question(bench)
        finally:
            await bench.journal.aclose()

    return asyncio.run(asked())


async def get_stuck(bench: Bench) -> None:
    lease = await bench.lease("first")
    await to_stage(bench, lease, "stuck", Stage.STUCK, claims=("seat:A1",))
    await bench.journal.abort(lease, bench.branch("stuck"), "mismatch")
    await bench.journal.close_session(lease)


async def book(bench: Bench) -> None:
    lease = await bench.journal.take_session("x-second", owner="me", force=True) or await bench.lease(
        "second"
    )
    await bench.start(lease, "next", claims=("seat:A1",))


async def switched_off(bench: Bench) -> Any:
    return await bench.journal.stuck_tools("")


def test_resolving_a_stuck_effect_ends_its_claim_and_switches_its_tool_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    ask(url, get_stuck)
    assert "  claims seat:A1 (exclusive)" in run("show", "x-stuck", "--db", url).splitlines()
    document = json.loads(run("show", "x-first", "--db", url, "--json"))
    assert document["claims"] == [{"effect_id": "x-stuck", "resource": "seat:A1", "mode": "exclusive"}]
    assert ask(url, switched_off) == {"book": "x-stuck"}
    with pytest.raises(ClaimedError, match="x-stuck") as caught:
        ask(url, book)
    assert caught.value.hint == "settle it with: specflow journal resolve x-stuck"
    assert "is compensated" in run("resolve", "x-stuck", "--db", url, "--note", "freed by hand")
    assert ask(url, switched_off) == {}
    ask(url, book)
    assert "all invariants hold" in run("verify", "--db", url)
    assert "claims" not in run("show", "x-stuck", "--db", url)
