"""How often the proposals are right, on tools that others have labelled. Run with -s to see the table."""

# ruff: noqa: E501 - tables of cases read best with a case per line

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from specflow.effects.kind import EffectClass
from specflow.policy.suggest import Hints, Proposal, Subject, propose

pytestmark = pytest.mark.data

LABELS = "tool_effects_dev.jsonl"
# What the labels call the right undo, where it can be said over arguments and result alone.
UNDOES = {
    ("toolsandbox", "add_reminder"): ("remove_reminder", {"reminder_id": "result"}),
    ("toolsandbox", "add_contact"): ("remove_contact", {"person_id": "result"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    writes: int
    called_read: tuple[str, ...]
    reads: int
    found: int

    @property
    def share(self) -> float:
        return self.found / self.reads

    @property
    def upper(self) -> float:
        """The one-sided 95 % upper bound on the share of writes called reads, by bisection (Clopper-Pearson)."""
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (
                (middle, high)
                if _at_most(len(self.called_read), self.writes, middle) > 0.05
                else (low, middle)
            )
        return high


def _at_most(count: int, n: int, share: float) -> float:
    """The probability of at most `count` in `n`."""
    total, term = 0.0, (1 - share) ** n
    for k in range(count + 1):
        total += term
        term *= (n - k) / (k + 1) * share / (1 - share) if share < 1 else 0
    return total


@pytest.fixture(scope="module")
def labels() -> dict[str, list[dict[str, Any]]]:
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("SPECFLOW_DATA", root.parent / "shared" / "data")) / LABELS
    if not path.is_file():
        pytest.skip(f"no {LABELS}: set SPECFLOW_DATA to the folder that holds it")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["suite"]].append(row)
    return found


def _subject(row: dict[str, Any], *, hinted: bool) -> Subject:
    told = row["declared"] if isinstance(row["declared"], dict) else {}
    hints = Hints(read_only=_flag(told, "readOnlyHint"), destructive=_flag(told, "destructiveHint"))
    return Subject(
        name=row["tool"],
        description=row["description"] or "",
        parameters=_schema(row["schema"] or {}),
        hints=hints if hinted and "readOnlyHint" in told else None,
    )


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    """One suite writes Python types and no `required`: what is not optional there is required."""
    parts = schema.get("properties") or {}
    pythonic = any(part.get("type") in {"str", "float", "bool", "int"} for part in parts.values())
    if not pythonic or "required" in schema:
        return schema
    needed = [
        name
        for name, part in parts.items()
        if "Optional" not in part["type"] and "NotGiven" not in part["type"]
    ]
    return {**schema, "required": needed}


def _flag(told: dict[str, Any], name: str) -> bool | None:
    return {"true": True, "false": False}.get(str(told.get(name)).lower())


def _proposals(labels: dict[str, list[dict[str, Any]]], *, hinted: bool) -> dict[tuple[str, str], Proposal]:
    return {
        (suite, item.subject.name): item
        for suite, rows in labels.items()
        for item in propose([_subject(row, hinted=hinted) for row in rows])
    }


def _score(labels: dict[str, list[dict[str, Any]]], *, hinted: bool) -> Score:
    proposals = _proposals(labels, hinted=hinted)
    rows = [row for some in labels.values() for row in some]
    reads = [row for row in rows if row["effect"] == "read_only"]
    writes = [row for row in rows if row["effect"] != "read_only"]

    def read(row: dict[str, Any]) -> bool:
        return proposals[row["suite"], row["tool"]].effect is EffectClass.READ_ONLY

    return Score(
        writes=len(writes),
        called_read=tuple(f"{row['suite']}.{row['tool']}" for row in writes if read(row)),
        reads=len(reads),
        found=sum(map(read, reads)),
    )


def test_no_write_is_called_a_read_and_most_reads_are_found(labels: dict[str, list[dict[str, Any]]]) -> None:
    print(f"\n{'known':34} {'writes called reads':>20} {'95 % bound':>11} {'reads found':>18}")
    scores = {}
    for name, hinted in (("name, description, schema", False), ("and hints of trusted MCP servers", True)):
        score = scores[hinted] = _score(labels, hinted=hinted)
        wrong = f"{len(score.called_read)} of {score.writes}"
        found = f"{score.found} of {score.reads} ({score.share:.1%})"
        print(f"{name:34} {wrong:>20} {score.upper:>11.1%} {found:>18}")
    for score in scores.values():
        assert score.called_read == ()
        assert (score.writes, score.reads) == (40, 56)
        assert score.upper == pytest.approx(1 - 0.05 ** (1 / 40), abs=1e-6)
    assert scores[True].share >= 0.8
    # The first score, before any bug was mended, was 36; see docs/how-to/suggest-a-policy.md.
    assert scores[False].found >= 39


def test_undoes(labels: dict[str, list[dict[str, Any]]]) -> None:
    proposals = _proposals(labels, hinted=True)
    labelled = [row for rows in labels.values() for row in rows if row["compensator"]]
    before = [row for row in labelled if "previous" in row["compensator"]]
    made = {place: item.compensator for place, item in proposals.items() if item.compensator is not None}
    right = [place for place, undo in made.items() if UNDOES.get(place) == (undo.tool, dict(undo.arguments))]
    print(f"\nundoes: {len(labelled)} labelled, {len(before)} of them need a value from before; "
          f"{len(made)} proposed, {len(right)} right")  # fmt: skip
    # Every undo proposed is the labelled one; those that can be said at all, over another tool, are found.
    assert sorted(made) == sorted(right) == sorted(UNDOES)
    assert not any(place[1] == "set_low_battery_mode_status" for place in made)
