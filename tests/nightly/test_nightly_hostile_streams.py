"""Hostile streams find nothing in the core as it is, and find every fault that is planted in it.

300 streams by default, 600 with CI; `make nightly` runs 100,000 through `hostile_streams.py`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from specflow.policy import disguise, judge, privacy
from specflow.policy.policy import Policy
from specflow.policy.verdict import Speculate
from specflow.speculation import coordinator

HERE = Path(__file__).parent
BLOCKS = 60 if os.environ.get("CI") else 30
MOST_BLOCKS = 150
"""Policies, of ten streams each, within which a planted fault must be seen."""
PARTS = ("streams", "run", "stream", "values", "world")


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(HERE))
    import hostile_streams

    yield hostile_streams
    for name in (*(f"hostile_{part}" for part in PARTS), "policy_world", "policy_conditions"):
        sys.modules.pop(name, None)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_gets_through(hostile: Any) -> None:
    tally = hostile.Tally()
    for block in range(BLOCKS):
        tally.add(hostile.run_block((2, block)))
    assert [f"--seed 2 --only {number}: {what}" for number, what in tally.violations] == []
    counts: Counter[str] = tally.counts
    assert counts["early read"] > BLOCKS, "enough went early for the question to mean something"
    assert min(counts["early write"], counts["hits"], counts["undone"], counts["withheld: policy"]) > 0


def test_the_same_seed_gives_the_same_history(hostile: Any) -> None:
    setting = hostile.setting_of(2, 0)
    for number in range(5):
        one, two = (hostile.stream(setting, 2, number) for _ in range(2))
        assert (one.history, one.counts) == (two.history, two.counts)
        assert one.history != hostile.stream(setting, 3, number).history


def test_every_disguise_is_seen_through(hostile: Any) -> None:
    import random

    import hostile_values

    dice = random.Random(11)
    declared = [privacy.Destinations(host=("api.example", "*.ours.example"))]
    for _ in range(3_000 if os.environ.get("CI") else 1_000):
        value = hostile_values.disguised(dice)
        kinds = hostile_values.named(value)
        found = privacy.traces({"x": value})
        assert found or not kinds, ascii(value)
        if "host" in kinds:
            assert privacy.withheld(found, declared), ascii(value)


# ---------------------------------------------------------------------- planted faults


def _blind(real: Callable[..., Any]) -> Callable[..., Any]:
    """No destination is seen."""
    return lambda args: []


def _takes_nothing_off(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda raw: disguise.Plain(raw, unclear=False, endless=False)


def _decodes_nothing(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda text: []


def _everything_covers(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda declared, trace: True


def _early_in_spite_of_confirmation(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, effect, word: real(self, effect, word) if effect.strictness < 2 else Speculate.NOW


def _holds_nothing(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *words: min(words, key=lambda word: word.strictness)


def _forgiving_require(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, condition: (real(self, condition)[0] or False, "")


def _whoever_says_so(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, effect: None


def _forgets_taint(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, tool, call, *, context, tainted=False: real(self, tool, call, context=context)


def _admits_all(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda verdict, real_call: None


FAULTS: list[tuple[Any, str, Callable[..., Any]]] = [
    (privacy, "traces", _blind),
    (privacy, "plain", _takes_nothing_off),
    (privacy, "decoded", _decodes_nothing),
    (privacy, "covers", _everything_covers),
    (judge._Judgement, "_narrow", _early_in_spite_of_confirmation),
    (judge, "_strictest", _holds_nothing),
    (judge._Judgement, "_holds", _forgiving_require),
    (judge._Judgement, "_predictors", _whoever_says_so),
    (Policy, "judge", _forgets_taint),
    (coordinator, "admit", _admits_all),
]


@pytest.mark.parametrize(
    ("where", "name", "fault"), FAULTS, ids=[fault.__name__.strip("_") for _, _, fault in FAULTS]
)
def test_a_planted_fault_is_found(
    hostile: Any, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, fault: Callable[..., Any]
) -> None:
    monkeypatch.setattr(where, name, fault(getattr(where, name)))
    for block in range(MOST_BLOCKS):
        if hostile.run_block((1, block)).violations:
            return
    pytest.fail(f"{MOST_BLOCKS * 10} streams did not find it")
