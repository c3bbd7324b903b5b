"""The mutation runner: what it changes, that each change is Python, and that a weak test lets one live."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SOURCE = '''
"""A module."""

LIMIT = 3


def grade(points: int, extra: bool = False, *, names: str = "") -> str:
    """Words."""
    sorted("ab", reverse=True)
    if points < LIMIT and not extra:
        return "low"
    for step in range(points):
        if step in (7, 8):
            break
    return "high" if max(points, 1) + 1 > 2 else "none"
'''


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(HERE))
    import mutants

    path = tmp_path / "grading.py"
    path.write_text(SOURCE)
    yield mutants, path
    sys.modules.pop("mutants", None)


def test_every_kind_of_fault_is_made(made: Any) -> None:
    mutants, path = made
    keys = {mutant.key.split(": ", 1)[1] for mutant in mutants.mutants(path)}
    assert {
        "3 -> 4",
        "if points < LIMIT and (not extra) -> if not (points < LIMIT and (not extra))",
        "points < LIMIT and (not extra) -> points < LIMIT or not extra",
        "points < LIMIT and (not extra) -> points < LIMIT and points < LIMIT",
        "points < LIMIT -> points <= LIMIT",
        "points < LIMIT -> points >= LIMIT",
        "not extra -> not not extra",
        "return 'low' -> return None",
        "'low' -> 'low_'",
        "break -> continue",
        "step in (7, 8) -> step not in (7, 8)",
        "max(points, 1) -> min(points, 1)",
        "max(points, 1) + 1 -> max(points, 1) - 1",
        "False -> True",
        "sorted(reverse=True) -> left out",
    } <= keys
    # Documentation and annotations are no behaviour.
    assert not any("Words" in key or "A module" in key or "bool ->" in key for key in keys)
    assert len({mutant.key for mutant in mutants.mutants(path)}) == len(mutants.mutants(path))


def test_every_mutant_is_python_and_differs_from_the_others(made: Any) -> None:
    mutants, path = made
    found = mutants.mutants(path)
    codes = [mutants.code(path, index) for index in range(len(found))]
    assert len({_shape(code) for code in codes}) >= len(codes) - 2
    with pytest.raises(IndexError):
        mutants.code(path, len(found))


def _shape(code: Any) -> str:
    inner = [_shape(part) if hasattr(part, "co_code") else repr(part) for part in code.co_consts]
    return repr((code.co_code, code.co_names, inner))


def test_a_strong_test_notices_what_a_weak_one_lets_live(made: Any) -> None:
    mutants, path = made

    def alive(check: Any) -> set[str]:
        kept = set()
        for index, mutant in enumerate(mutants.mutants(path)):
            names: dict[str, Any] = {}
            exec(mutants.code(path, index), names)
            if check(names["grade"]):
                kept.add(mutant.key)
        return kept

    weak = alive(lambda grade: grade(9) == "high")
    strong = alive(
        lambda grade: (grade(9), grade(2), grade(3), grade(2, True)) == ("high", "low", "high", "high")
    )
    assert strong < weak
    assert "grading.grade: points < LIMIT -> points <= LIMIT" in weak - strong
