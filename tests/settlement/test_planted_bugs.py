"""The gate of the proof: it holds for the code as it is, and for none of the bugs that are planted in it."""

from __future__ import annotations

import importlib.util
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from specflow.errors import SpecflowError
from specflow.testing import proof_deaths, proof_moments, proof_patches, proof_repetitions, proof_tables
from specflow.testing.proof import PROOF, prove

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/planted-bugs.md"


def _load(name: str) -> ModuleType:
    """A file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUGS: list[Any] = _load("planted_bugs").BUGS
for _name in ("calls", "repetitions", "undos", "decisions", "patches", "tables"):
    _load(f"planted_{_name}")


@pytest.mark.parametrize("name", PROOF)
def test_the_proof_holds(name: str) -> None:
    for seed in range(3):
        prove(name, seed=seed)


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_noticed(
    bug: Any, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    # What it says in the log while it fails is of no interest.
    monkeypatch.setattr(logging.getLogger("specflow"), "disabled", True)
    bug.plant(monkeypatch)
    for name in bug.caught_by:
        with pytest.raises((AssertionError, SpecflowError)):
            prove(name)
    record_property("counted", {"planted bugs, each noticed": 1})


def test_the_table_is_sound() -> None:
    assert len(BUGS) >= 25
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    for bug in BUGS:
        assert bug.caught_by, bug.name
        assert set(bug.caught_by) <= set(PROOF), bug.name
    idle = set(PROOF) - {name for bug in BUGS for name in bug.caught_by}
    assert idle <= {"death_at_every_point_is_resumed"}, "a check that notices nothing proves nothing"
    modules = (proof_deaths, proof_moments, proof_patches, proof_repetitions, proof_tables)
    assert {module.__name__ for module in modules} <= set(sys.modules)


def test_the_page_lists_every_bug_and_what_notices_it() -> None:
    # Below the first heading are the bugs of the speculation core.
    section, _, _ = PAGE.read_text(encoding="utf-8").partition("\n## ")
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", section, re.MULTILINE)
    listed = {name: (at, set(re.findall(r"`(\w+)`", caught))) for name, at, caught in rows}
    assert listed == {bug.name: (bug.at, set(bug.caught_by)) for bug in BUGS}
