"""Speculative equals sequential: generated agents, tools, policies, guesses and schedules, played both ways.

100 cases by default, 1,000 with CI, 100,000 with SPECFLOW_NIGHTLY; then a twentieth of that on the SQL
journal, and some drawn by Hypothesis, which cuts down what fails in its own way.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.journal.event import EventKind
from specflow.journal.port import Journal
from specflow.speculation.parts import Mode
from specflow.testing.inline_journal import InlineSqlJournal
from specflow.testing.lossless.case import Agent, Ask, Case, Guess, Manner, Run, Step, Talk
from specflow.testing.lossless.differences import KINDS
from specflow.testing.lossless.draw import draw
from specflow.testing.lossless.prove import LossyError, both, case_of, hold, lossless
from specflow.testing.lossless.smaller import shrunk
from specflow.testing.proof import LoopOrZero

NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
EXAMPLES = 100_000 if NIGHTLY else 1_000 if os.environ.get("CI") else 100
PARTS = 40 if NIGHTLY else 4
ON_FILE = EXAMPLES // 20
DRAWN = 2_000 if NIGHTLY else 40 if os.environ.get("CI") else 10


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    # What tools that fail make it say is of no interest here.
    monkeypatch.setattr(logging.getLogger("specflow"), "disabled", True)


@pytest.fixture
def journal() -> Iterator[Callable[[], Journal]]:
    ram = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=ram) as folder:
        on_file = InlineSqlJournal(
            Path(folder) / "cases.db", clock=LoopOrZero(), is_dead=lambda _owner: False
        )

        def emptied() -> Journal:
            on_file.empty()
            return on_file

        try:
            yield emptied
        finally:
            on_file.close()


@pytest.mark.slow
@pytest.mark.timeout(36_000 if NIGHTLY else 1_800)
@pytest.mark.parametrize("part", range(PARTS))
def test_speculative_equals_sequential(part: int, record_property: Callable[[str, object], None]) -> None:
    for seed in range(part, EXAMPLES, PARTS):
        lossless(seed)
    record_property("counted", {"generated agents, the same both ways": EXAMPLES // PARTS})


@pytest.mark.slow
@pytest.mark.timeout(36_000 if NIGHTLY else 1_800)
def test_speculative_equals_sequential_on_the_sql_journal(journal: Callable[[], Journal]) -> None:
    for seed in range(EXAMPLES, EXAMPLES + ON_FILE):
        lossless(seed, journal=journal)


@pytest.mark.slow
@pytest.mark.timeout(36_000 if NIGHTLY else 1_800)
@settings(
    max_examples=DRAWN,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(random=st.randoms(use_true_random=False), seed=st.integers(0, 2**16), size=st.integers(1, 3))
def test_speculative_equals_sequential_as_hypothesis_draws_it(random: Random, seed: int, size: int) -> None:
    hold(draw(random, seed=seed, size=size))


def test_a_slow_loop_makes_nobody_give_up_what_cannot_be_asked_after() -> None:
    # 0.2 s a step and a flood of guesses: that lasts longer than early calls may take.
    lossless(59_007)


def test_shadow_mode_changes_nothing_and_starts_nothing() -> None:
    withheld = 0
    for seed in range(EXAMPLES // 10):
        found = both(case_of(seed), mode=Mode.SHADOW)
        assert found.differences == (), f"seed {seed}"
        assert not any(made.early for made in found.early.world.made), f"seed {seed}"
        withheld += sum(event.cause == "mode" for event in found.early.events)
    assert withheld, "nothing would have been started, so nothing is shown"


# ------------------------------------------------------------------ is it worth anything?


@cache
def seen(cases: int) -> Counter[str]:
    """What happens in so many cases, by kind."""
    counted: Counter[str] = Counter()
    for seed in range(cases):
        played = both(case_of(seed)).early
        for event in played.events:
            counted[
                f"{event.kind}: {event.cause if event.kind is EventKind.WITHHELD else event.outcome}"
            ] += 1
        counted.update(f"row: {row.stage}" for row in played.rows.effects)
        counted["cancelled talks"] += len(played.cancelled)
        counted["conversations"] += len({name.partition("/")[0] for name in played.seen})
        counted["early writes"] += sum(made.early and bool(made.key) for made in played.world.made)
    return counted


def test_everything_that_can_happen_does() -> None:
    counted = seen(50)
    for what in (
        *(
            f"call_ended: {outcome}"
            for outcome in ("hit", "late", "miss", "stale", "held", "replayed", "refused")
        ),
        *(f"resolved: {outcome}" for outcome in ("hit", "late", "stale", "cancelled", "compensated")),
        *(f"withheld: {cause}" for cause in ("budget", "confidence", "conflict", "duplicate", "invalid")),
        *(f"withheld: {cause}" for cause in ("policy", "predictor", "no_undo")),
        *(f"row: {stage}" for stage in ("committed", "compensated", "failed")),
        "cancelled talks",
        "early writes",
    ):
        assert counted[what], f"no {what} in {dict(counted)}"
    assert counted["conversations"] > 50, "never two conversations at once"


def digest_of(seeds: range) -> str:
    """64 hex digits over all that happens: events with their ids and times, rows, messages, the world."""
    state = hashlib.sha256()
    for seed in seeds:
        played = both(case_of(seed)).early
        # Not the verdicts: how a set in them is shown depends on the process.
        events = [replace(event, verdict=None) for event in played.events]
        rows = played.rows
        for item in (*events, *rows.effects, *rows.events, *played.world.made, *played.seen.values()):
            state.update(repr(item).encode())
    return state.hexdigest()


def test_the_same_seed_is_the_same_history_in_every_process() -> None:
    here = digest_of(range(4))
    assert digest_of(range(4)) == here
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_lossless as own; "
    code += "import logging; logging.disable(50); print(own.digest_of(range(4)))"
    other = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": other},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == here


# ------------------------------------------------------------------ what fails is cut down


LOOK = Ask(tool="look", args={"area": "p0", "cell": "A"})
PUT = Ask(tool="put", args={"area": "p0", "cell": "A", "value": 5})


def small(*steps: Step, **options: object) -> Case:
    """One agent that goes through the steps."""
    agent = Agent(name="main", area="p0", runs=(Run(steps=steps),))
    return replace(Case(seed=0, talks=(Talk(thread="talk", agents=(agent,)),)), **options)  # type: ignore[arg-type]


def test_a_failing_case_is_cut_down_to_what_it_takes() -> None:
    wide = small(
        Step(
            options=((LOOK,), (LOOK, PUT)), guesses=(Guess(at=0.0, what="right"), Guess(at=0.5, what="other"))
        ),
        Step(options=((PUT,),)),
        latency={"look": 1.0},
        manners={"look": Manner(), "put": Manner(early=False)},
        stubborn=frozenset({"look"}),
    )

    def asks_for_put(case: Case) -> bool:
        return any(ask.tool == "put" for step in case.steps for option in step.options for ask in option)

    least = shrunk(wide, asks_for_put)
    assert [step.options for step in least.steps] == [((PUT,),)]
    assert not least.manners
    assert not least.stubborn
    assert "put(cell=A, value=5)" in str(least)


def test_what_fails_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("adopt", "overtaken"):
        monkeypatch.setattr(f"specflow.speculation.{where}.met_a_write", lambda *_: False)
    case = small(
        Step(options=((PUT,),), guesses=(Guess(at=0.0, what="other", ask=LOOK),)),
        Step(options=((LOOK,),)),
        manners={"look": Manner(ttl=1000.0)},
    )
    with pytest.raises(LossyError, match=r"look.*value.*1") as caught:
        hold(case, again="hold(case)")
    assert "repeat it with hold(case)" in str(caught.value)
    assert "the smallest case found" in str(caught.value)


def test_kinds_of_difference_are_told_apart() -> None:
    assert len(set(KINDS)) == len(KINDS) == 6
