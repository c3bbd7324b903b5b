"""The contract's checks of what is written and read back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.errors import InvariantError, JournalError
from specflow.journal.record import Outcome, UndoPlan
from specflow.lifecycle import BranchState, Stage
from specflow.testing.journal_bench import Bench, check, refuses


@check
async def an_intent_is_read_back_verbatim(bench: Bench) -> None:
    lease = await bench.lease()
    assert await bench.journal.intend(lease, bench.intent("a", redacted=True, keyed=True, cause="why")) == 1
    assert await bench.journal.intend(lease, bench.intent("b", call_deadline=12.5)) == 2
    row = await bench.journal.effect(f"{bench.tag}-a")
    assert row is not None
    given = bench.intent("a")
    assert (row.args, row.idem_key, row.tool) == (given.args, given.idem_key, given.tool)
    assert (row.undo, row.verify) == (UndoPlan(tool="cancel", arguments={"id": "result.id"}), given.verify)
    assert (row.stage, row.seq, row.rev, row.fence, row.attempts) == (Stage.INTENDED, 1, 1, 1, 0)
    assert (row.redacted, row.keyed, row.reasons) == (True, True, ("rule 1",))
    assert isinstance(row.args["seat"], float), "numbers keep their kind"
    other = await bench.journal.effect(f"{bench.tag}-b")
    assert other is not None
    assert (other.call_deadline, other.redacted, other.keyed) == (12.5, False, False)
    assert await bench.journal.effect("nothing") is None


@check
async def what_was_there_before_is_read_back_verbatim(bench: Bench) -> None:
    lease = await bench.lease()
    value = {"z": [1, 1.0, None, "\x00\ud800é", {}], "a": True}
    known = {"whole": value, "nothing": None, "text": "x"}
    # Many at once, so that they are written together.
    await asyncio.gather(
        *(
            bench.journal.intend(lease, bench.intent(name, before=item, before_known=True))
            for name, item in known.items()
        ),
        *(bench.journal.intend(lease, bench.intent(f"plain {number}")) for number in range(40)),
        bench.journal.intend(lease, bench.intent("unsaid", before="x", before_known=False)),
    )
    for name, item in known.items():
        row = await bench.journal.effect(f"{bench.tag}-{name}")
        assert row is not None
        assert (row.before, row.before_known) == (item, True), "null is a value, and something that was there"
    for name in ("plain 7", "unsaid"):
        row = await bench.journal.effect(f"{bench.tag}-{name}")
        assert row is not None
        assert (row.before, row.before_known) == (None, False)
    (row,) = [item for item in (await bench.rows()).effects if item.effect_id == f"{bench.tag}-whole"]
    assert row.before == value
    await refuses(
        JournalError, bench.journal.intend(lease, bench.intent("not json", before={1j}, before_known=True))
    )


@check
async def a_row_read_back_is_a_copy(bench: Bench) -> None:
    lease = await bench.lease()
    args: dict[str, Any] = {"list": [1]}
    effect_id = await bench.start(lease, args=args)
    args["list"].append(2)
    row = await bench.journal.effect(effect_id)
    assert row is not None
    row.args["list"].append(3)
    again = await bench.journal.effect(effect_id)
    assert again is not None
    assert again.args == {"list": [1]}


@check
async def an_outcome_is_read_back_verbatim(bench: Bench) -> None:
    lease = await bench.lease()
    value = {"z": [1, 1.0, None, "\x00\ud800é", {}], "a": True, "big": 2**70}
    effect_id = await bench.start(lease)
    assert await bench.journal.record(lease, effect_id, Outcome(stage=Stage.DONE, result=value))
    row = await bench.journal.effect(effect_id)
    assert row is not None
    assert row.result == value
    assert list(row.result) == ["z", "a", "big"], "the order of keys is kept"
    assert [type(item) for item in row.result["z"][:2]] == [int, float]
    other = await bench.start(lease, "other")
    described = Outcome(stage=Stage.DONE, result="<object>", replayable=False)
    assert await bench.journal.record(lease, other, described)
    row = await bench.journal.effect(other)
    assert row is not None
    assert not row.replayable


@check
async def hostile_text_is_kept_readable(bench: Bench) -> None:
    lease = await bench.lease()
    hypothesis = "a\x00b\ud800'; DROP TABLE sf_effect; --"
    effect_id = await bench.start(lease, hypothesis=hypothesis)
    failed = Outcome(stage=Stage.FAILED, error="x\x00" * 10_000)
    assert await bench.journal.record(lease, effect_id, failed)
    rows = await bench.rows()
    assert rows.branches[0].hypothesis == "a\ufffdb\ufffd'; DROP TABLE sf_effect; --"
    assert rows.effects[0].error.startswith("x\ufffdx\ufffd")
    assert len(rows.effects[0].error) <= 4096
    await refuses(JournalError, bench.journal.intend(lease, bench.intent("x\x00")))
    await refuses(JournalError, bench.journal.intend(lease, bench.intent("e2", args={"nan": float("nan")})))
    await refuses(JournalError, bench.journal.intend(lease, bench.intent("e3", args={"object": object()})))
    assert len((await bench.rows()).effects) == 1


@check
async def nothing_is_written_twice(bench: Bench) -> None:
    lease = await bench.lease()
    await bench.start(lease, adopted_by=bench.real())
    clashes: Mapping[str, Mapping[str, str]] = {
        "effect": {"effect_id": f"{bench.tag}-e"},
        "branch": {"branch_id": bench.branch()},
        "idem_key": {"idem_key": f"{bench.tag}-key-e"},
        "adopted_by": {"adopted_by": bench.real()},
    }
    for what, clash in clashes.items():
        error = await refuses(JournalError, bench.journal.intend(lease, bench.intent("new", **clash)))
        assert error.facts["conflict"] == what
    error = await refuses(
        JournalError, bench.journal.intend(lease, bench.intent("new", depends_on=("nobody",)))
    )
    assert error.facts["conflict"] == "depends_on"
    rows = await bench.rows()
    assert [len(rows.effects), len(rows.branches)] == [1, 1]
    # The same key may be another tenant's.
    other = await bench.journal.open_session(f"{bench.tag}-t", thread="t", owner="me", tenant="acme")
    await bench.journal.intend(other, bench.intent("new", idem_key=f"{bench.tag}-key-e"))


@check
async def a_real_call_is_born_adopted(bench: Bench) -> None:
    lease = await bench.lease()
    effect_id = await bench.start(lease, adopted_by=bench.real(), effect=EffectClass.CONFIRMATION_REQUIRED)
    row = await bench.journal.adopted(bench.real())
    assert row is not None
    assert row.effect_id == effect_id
    assert await bench.journal.branch_state(bench.branch()) == BranchState.CONFIRMED
    assert await bench.journal.open_branches(lease.session_id) == ()
    assert not await bench.journal.adopt(lease, effect_id, bench.real("other"))
    assert not await bench.journal.abort(lease, bench.branch(), "late")


@check
async def what_needs_a_confirmation_is_never_called_early(bench: Bench) -> None:
    lease = await bench.lease()
    for kind in (EffectClass.CONFIRMATION_REQUIRED, EffectClass.DENY):
        await refuses(InvariantError, bench.journal.intend(lease, bench.intent(effect=kind)))
    assert (await bench.rows()).effects == ()
