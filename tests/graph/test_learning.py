"""A runtime that begins with what the journal has recorded of earlier guesses."""

from __future__ import annotations

from pathlib import Path

from specflow import Runtime
from specflow.journal.record import PredictionRow
from specflow.journal.sql import SqlJournal
from specflow.speculation.odds import Source

ME = Source(tool="look", predictor="reasoning")


def look(city: str) -> str:
    """Look."""
    return city


def row(number: int) -> PredictionRow:
    return PredictionRow(
        speculation_id=f"s{number}",
        session_id="s",
        tool="look",
        fingerprint="f",
        predictor="reasoning",
        confidence=0.9,
        outcome="cancelled",
        cause="mismatch",
        at=float(number),
    )


async def test_a_runtime_learns_from_the_guesses_of_earlier_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    earlier = SqlJournal.open(url)
    for number in range(30):
        earlier.note(row(number))
    await earlier.aclose()
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\ntools: {look: {effect: read_only}}\n")
    async with Runtime(policy, tools=[look], journal=url) as rt:
        odds = rt.host.parts.odds
        before = odds.bound(ME, 0.9)
        await rt.learn(most=5)
        some = odds.bound(ME, 0.9)
        await rt.learn()
        assert odds.bound(ME, 0.9) < some < before
