"""Two processes that want the same keys: never two live exclusive claims, and nobody waits for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from specflow.journal.database import Database
from specflow.journal.reads import snapshot_of
from specflow.journal.schema import prepare
from specflow.journal.verify import verify

HAMMER = Path(__file__).with_name("claim_hammer.py")
NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
ROUNDS = 600 if NIGHTLY else 60
PROCESSES = 4 if NIGHTLY else 2


def test_processes_that_hammer_the_same_keys_keep_apart(url: str, tmp_path: Path) -> None:
    prepare(Database(url), create=True)
    folder = tmp_path / "held"
    folder.mkdir()
    children = [
        subprocess.Popen(
            [sys.executable, str(HAMMER), url, str(folder), f"p{number}", str(ROUNDS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    answers = [child.communicate(timeout=600) for child in children]
    for child, (_said, trouble) in zip(children, answers, strict=True):
        assert child.returncode == 0, trouble
    for said, _trouble in answers:
        counted = json.loads(said)
        assert counted["held"] > 10
        assert counted["refused"] > 10, "they did meet"
    rows = snapshot_of(url)
    assert verify(rows) == ()
    assert list(folder.iterdir()) == [], "whatever was held was given back"
    closed = {row.session_id for row in rows.sessions if row.state == "closed"}
    assert len(closed) == PROCESSES * 3
    owners = {row.effect_id: row.session_id for row in rows.effects}
    assert {owners[claim.effect_id] for claim in rows.claims}.isdisjoint(closed)
