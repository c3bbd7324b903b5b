"""The gate of the lossless property: generated agents notice every bug that is planted in the core."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from specflow.testing.lossless.differences import KINDS
from specflow.testing.lossless.prove import both, case_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/planted-bugs.md"
CASES = 1_000
"""As many as there are with CI: what they do not notice, nobody would."""


def _load(name: str) -> Any:
    """A file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUGS: list[Any] = _load("planted_differences").BUGS
CHECKS: dict[str, Any] = _load("single_checks").CHECKS


@pytest.mark.parametrize("name", CHECKS)
def test_a_single_check_holds(name: str) -> None:
    asyncio.run(CHECKS[name]())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_generated_agents_notice_a_planted_bug(
    bug: Any, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setattr(logging.getLogger("specflow"), "disabled", True)
    bug.plant(monkeypatch)
    record_property("counted", {"bugs planted in the core, each noticed": 1})
    if set(bug.caught_by) <= set(CHECKS):
        for name in bug.caught_by:
            with pytest.raises(AssertionError):
                asyncio.run(CHECKS[name]())
        return
    found: set[str] = set()
    # A seed that has noticed it before comes first; any other of them would do.
    for seed in (bug.seed, *range(CASES)):
        found |= {difference.kind for difference in both(case_of(seed)).differences}
        if found >= set(bug.caught_by):
            break
    assert found >= set(bug.caught_by), f"{bug.name}: {CASES} cases found {sorted(found) or 'nothing'}"


def test_the_table_of_bugs_is_sound() -> None:
    assert len(BUGS) >= 25
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    for bug in BUGS:
        assert set(bug.caught_by) <= {*KINDS, *CHECKS}, bug.name
    idle = {*KINDS, *CHECKS} - {kind for bug in BUGS for kind in bug.caught_by}
    assert not idle, "a comparison that notices nothing proves nothing"


def test_the_page_lists_every_bug_and_what_notices_it() -> None:
    _, _, section = PAGE.read_text(encoding="utf-8").partition("\n## ")
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", section, re.MULTILINE)
    listed = {name: (at, set(re.findall(r"`(\w+)`", caught))) for name, at, caught in rows}
    assert listed == {bug.name: (bug.at, set(bug.caught_by)) for bug in BUGS}
