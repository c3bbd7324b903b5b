"""Damaged and hostile files: refused with findings, or loaded as what they say. A few hundred, seeded.

The long run is `tests/nightly/policy_fuzz.py`.
"""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import pytest

from specflow.errors import PolicyError
from specflow.policy import loads

HERE = Path(__file__).parent


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


damage = _module("yaml_damage")
STARTERS = [path.read_bytes() for path in sorted((HERE.parents[1] / "policies").glob("*.yaml"))]


@pytest.mark.parametrize("seed", range(10))
def test_damaged_bytes(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    pool = [*STARTERS, damage.REQUIRES]
    loaded = 0
    for _ in range(40):
        data = damage.damaged(dice, dice.choice(pool), pool)
        loaded += damage.check_load(tmp_path / "p.yaml", data) is not None
    # Neither refuses everything nor accepts everything.
    assert 0 < loaded < 40


@pytest.mark.parametrize("seed", range(5))
def test_text_that_looks_like_yaml(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(40):
        damage.check_load(tmp_path / "p.yaml", damage.grammatical(dice))


@pytest.mark.parametrize("seed", range(4))
def test_damage_inside_a_require_never_permits_more(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    original = loads(damage.REQUIRES.decode())
    kept = [
        damage.check_require(tmp_path / "p.yaml", original, damage.require_damaged(dice, damage.REQUIRES))
        for _ in range(150)
    ]
    assert True in kept
    assert False in kept


@pytest.mark.parametrize(
    "body",
    [
        "effect:",
        "effect: read_only\n    speculate: ~",
        "effect: read_only\n    rules: [{id: r, when: 'true', require: {effect: , speculate: never}}]",
        "effect: compensatable\n    rules: [{id: r, when: 'true', unless: null, allow: {speculate: now}}]",
    ],
)
def test_a_name_without_a_value_is_refused(body: str) -> None:
    """A lost value must not quietly drop what a rule requires, or its exception."""
    with pytest.raises(PolicyError, match="has no value: write one, or remove the name"):
        loads(f"version: 1\ntools:\n  t:\n    {body}\n")


def test_null_is_a_value_in_a_test_of_the_file() -> None:
    test = "{name: n, call: {tool: t, args: {x: null, y: [null]}}, expect: {effect: deny}}"
    found = loads(f"version: 1\ntools: {{t: {{effect: deny}}}}\ntests: [{test}]\n")
    assert found.tests[0][1].call.args == {"x": None, "y": [None]}
