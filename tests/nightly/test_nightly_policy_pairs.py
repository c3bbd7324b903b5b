"""The nightly proof finds what it looks for: faults planted in the judge are seen within a few policies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from specflow.effects.kind import EffectClass
from specflow.policy import judge, merge
from specflow.policy import plan as planning
from specflow.policy.verdict import Speculate

HERE = Path(__file__).parent
POLICIES = 150
"""Within which a planted fault must be seen."""
SOUND = 50
"""Of which none may be wrong; `policy_pairs.py` runs a million pairs of them at night."""


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(HERE))
    import policy_pairs

    yield policy_pairs
    for name in ("policy_pairs", "policy_properties", "policy_variants", "policy_world", "policy_conditions"):
        sys.modules.pop(name, None)


def violations(pairs: Any, folder: Path, policies: int = POLICIES) -> list[str]:
    found: list[str] = []
    for number in range(policies):
        found += [what for _, _, what in pairs.run_policy(1, number, folder).violations]
        if found:
            break
    return found


def test_the_judge_as_it_is_has_none(pairs: Any, tmp_path: Path) -> None:
    assert violations(pairs, tmp_path, SOUND) == []


def _forgiving_require(real: Callable[..., Any]) -> Callable[..., Any]:
    """A condition that cannot be evaluated counts as false."""
    return lambda self, condition: (real(self, condition)[0] or False, "")


def _trusting_allow(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, rule: self._holds(rule.when)[0] is not False


def _first_rule_only(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: real(self)[:1]


def _ignores_unless_of_allow(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, rule: self._holds(rule.when)[0] is True


def _never_narrow(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, effect, speculate: Speculate.NEVER if effect.strictness >= 2 else speculate


FAULTS = [
    ("_holds", _forgiving_require),
    ("_allows", _trusting_allow),
    ("_allows", _ignores_unless_of_allow),
    ("_requires", _first_rule_only),
    ("_narrow", _never_narrow),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=[fault.__name__ for _, fault in FAULTS])
def test_a_fault_in_the_judge_is_found(
    pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fault: Any
) -> None:
    real = getattr(judge._Judgement, name)
    monkeypatch.setattr(judge._Judgement, name, fault(real))
    assert violations(pairs, tmp_path)


def test_a_lattice_upside_down_is_found(pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "strictest", lambda *kinds: min(kinds, key=lambda kind: kind.strictness))
    assert violations(pairs, tmp_path)


def _first(values: Any) -> list[Any]:
    return [value for value in values if value is not None][:1]


def test_files_whose_order_matters_are_found(
    pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "_said", _first)
    assert violations(pairs, tmp_path)


def test_a_default_that_loosens_is_found(pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = merge.merge_defaults

    def loose(*args: Any) -> Any:
        made = real(*args)
        object.__setattr__(made, "unlisted", EffectClass.CONFIRMATION_REQUIRED)
        return made

    monkeypatch.setattr(merge, "merge_defaults", loose)
    assert violations(pairs, tmp_path)


def test_predictors_that_join_instead_of_meeting_are_found(
    pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(entries: Any) -> Any:
        said = [entry.predictors for entry in entries if entry.predictors is not None]
        return frozenset().union(*said) if said else None

    monkeypatch.setattr(planning, "_predictors", joined)
    assert violations(pairs, tmp_path)


def test_a_pair_can_be_repeated_from_the_command_line() -> None:
    command = [sys.executable, str(HERE / "policy_pairs.py"), "--seed", "1", "--only", "3:4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Question(call=" in done.stdout
