"""The contract's checks of values with hidden parts: they come back, and nothing is taken for one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from specflow.journal.envelope import MARK
from specflow.journal.record import Outcome
from specflow.lifecycle import Stage
from specflow.sealing.sealed import Sealed
from specflow.testing.journal_bench import Bench, check

HIDDEN_AT = Sealed(places=(("card", 0, "pin"), ()), box="1:abc:xyz")
LOST = Sealed(places=(("token",),))


@check
async def what_is_sealed_is_read_back_verbatim(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    given = {"args": HIDDEN_AT, "before": Sealed()}
    await asyncio.gather(
        journal.intend(lease, bench.intent("a", before=[1], before_known=True, sealed=given, redacted=True)),
        *(journal.intend(lease, bench.intent(f"plain {number}")) for number in range(10)),
    )
    effect_id = f"{bench.tag}-a"
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.args, row.before, row.sealed) == (bench.intent("a").args, [1], given)
    plain = await journal.effect(f"{bench.tag}-plain 3")
    assert plain is not None
    assert plain.sealed == {}
    assert await journal.record(lease, effect_id, Outcome(stage=Stage.DONE, result={"token": 1}, sealed=LOST))
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.result, row.sealed) == ({"token": 1}, {**given, "result": LOST})
    assert await journal.abort(lease, bench.branch("a"), "mismatch")
    going, key = Stage.COMPENSATING, f"{bench.tag}-undo"
    assert await journal.move(
        lease, effect_id, Stage.DONE, going, comp_key=key, comp_args={"id": 1}, comp_sealed=HIDDEN_AT
    )
    sealed = {**given, "result": LOST, "comp_args": HIDDEN_AT}
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.comp_args, row.sealed) == ({"id": 1}, sealed)
    assert await journal.move(lease, effect_id, going, going, cause="retry")
    again = await journal.effect(effect_id)
    assert again is not None
    assert (again.comp_args, again.sealed) == ({"id": 1}, sealed), "what is not given stays"
    assert await journal.move(lease, effect_id, going, going, comp_key=key, comp_args={"id": 1})
    (last,) = [item for item in (await bench.rows()).effects if item.effect_id == effect_id]
    assert last.sealed == {**given, "result": LOST}, "arguments given anew have nothing hidden"


@check
async def no_value_is_taken_for_a_sealed_one(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    envelope = {MARK: {"places": [["pin"]], "box": "1:abc:xyz"}, "value": {"pin": "[redacted]"}}
    odd: tuple[dict[str, Any], ...] = (
        envelope,
        {MARK: None, "value": envelope},
        {MARK: 1},
        {MARK: None, "value": 1, "more": 2},
        {"value": envelope},
        {"list": [envelope]},
    )
    for number, value in enumerate(odd):
        intent = replace(bench.intent(f"odd {number}"), args=value, before=value, before_known=True)
        await journal.intend(lease, intent)
        await journal.record(lease, intent.effect_id, Outcome(stage=Stage.DONE, result=value))
        assert await journal.abort(lease, intent.branch_id, "mismatch")
        key = f"{bench.tag}-undo-{number}"
        going = Stage.COMPENSATING
        await journal.move(lease, intent.effect_id, Stage.DONE, going, comp_key=key, comp_args=value)
        row = await journal.effect(intent.effect_id)
        assert row is not None
        assert (row.args, row.before, row.result, row.comp_args) == (value, value, value, value)
        assert row.sealed == {}
