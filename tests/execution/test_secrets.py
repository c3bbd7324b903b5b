"""What the policy redacts never reaches the journal: not as an argument, a result, or an error's text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.redaction import HIDDEN, redacted
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import ConflictError
from specflow.journal.memory import MemoryJournal
from specflow.lifecycle import Stage
from specflow.policy.settings import ToolSettings, Verify
from specflow.policy.verdict import Asking
from specflow.settlement.stored import compile_stored
from specflow.testing.explore import run
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import Rule, StaticJudge

SECRET = "4111-1111"
REDACT = ("args.card.number", "result.token")


def core_of(body: Any, redact: tuple[str, ...] = REDACT, **settings: Any) -> ScriptedCore:
    annotation = Annotation(effect=EffectClass.CONFIRMATION_REQUIRED)
    pay = ToolSpec(name="pay", annotation=annotation, runner=body)

    async def find(call: Call, context: CallContext) -> Any:
        return {"token": SECRET, "status": "paid"}

    looked = ToolSpec(name="find", annotation=Annotation(effect=EffectClass.READ_ONLY), runner=find)
    rule = Rule(
        effect=EffectClass.CONFIRMATION_REQUIRED,
        confirm=Asking.HOST,
        settings=ToolSettings(redact=redact, idempotency_key="key", **settings),
    )
    judge = StaticJudge({"pay": rule, "find": Rule(effect=EffectClass.READ_ONLY)})
    return ScriptedCore([pay, looked], judge, MemoryJournal(LoopClock(), is_dead=lambda name: name != "next"))


PAY = Call(tool="pay", args={"card": {"number": SECRET, "month": 5}, "amount": 3})


def everything(snapshot: Any) -> str:
    return repr(snapshot)


def test_arguments_and_results_are_stored_without_the_secret() -> None:
    seen: list[Any] = []

    async def body(call: Call, context: CallContext) -> Any:
        seen.append(call.plain_args())
        return {"token": SECRET, "status": "paid"}

    async def main() -> None:
        core = core_of(body)
        answer = await core.call(PAY, identity="m1")
        assert answer["token"] == SECRET, "the real run gets what the tool said"
        assert seen[0]["card"]["number"] == SECRET, "and the tool what it was sent"
        snapshot = await core.journal.snapshot()
        assert SECRET not in everything(snapshot)
        (row,) = snapshot.effects
        assert row.redacted
        assert row.args == {"card": {"number": HIDDEN, "month": 5}, "amount": 3}
        assert row.result == {"token": HIDDEN, "status": "paid"}
        with pytest.raises(ConflictError, match="cannot be given again"):
            await core.call(PAY, identity="m1")
        assert len(seen) == 1, "what cannot be given again is not made again either"

    run(main(), seed=0)


def test_an_error_that_quotes_the_secret_is_kept_by_its_kind_only() -> None:
    async def body(call: Call, context: CallContext) -> Any:
        raise ValueError(f"card {SECRET} refused")

    async def main() -> None:
        core = core_of(body)
        with pytest.raises(ValueError, match="refused"):
            await core.call(PAY)
        snapshot = await core.journal.snapshot()
        assert SECRET not in everything(snapshot)
        assert snapshot.effects[0].error == "ValueError"

    run(main(), seed=0)


@pytest.mark.parametrize("redact", [("args",), ("result",), ("not a path at all",)])
def test_a_path_that_names_everything_hides_everything(redact: tuple[str, ...]) -> None:
    async def body(call: Call, context: CallContext) -> Any:
        return {"echo": call.plain_args()} if "args" not in redact else "done"

    async def main() -> None:
        core = core_of(body, redact)
        await core.call(Call(tool="pay", args={"amount": 3}))
        (row,) = (await core.journal.snapshot()).effects
        if redact != ("result",):
            assert row.args == {}
        if redact != ("args",):
            assert row.result == HIDDEN
            assert not row.replayable

    run(main(), seed=0)


def test_a_result_that_is_not_json_is_not_described_either() -> None:
    async def body(call: Call, context: CallContext) -> Any:
        return {SECRET, "status"}

    async def main() -> None:
        core = core_of(body)
        await core.call(PAY)
        assert SECRET not in everything(await core.journal.snapshot())

    run(main(), seed=0)


class Lost(BaseException):
    """The process ended in the middle of the call."""


@pytest.mark.parametrize("verifiable", [True, False])
def test_what_was_lost_is_asked_after_but_never_repeated_with_a_place_holder(verifiable: bool) -> None:
    called: list[Any] = []

    async def body(call: Call, context: CallContext) -> Any:
        called.append(call.plain_args())
        raise Lost

    async def main() -> None:
        verify = Verify(tool="find", arguments={"key": compile_stored("key")}) if verifiable else None
        core = core_of(body, verify=verify)
        journal = core.journal
        original, journal.record = journal.record, _unwritten  # type: ignore[method-assign] # the process is gone
        with pytest.raises(Lost):
            await core.call(PAY)
        journal.record = original  # type: ignore[method-assign] # the next one
        report = await core.recover(owner="next")
        (row,) = (await journal.snapshot()).effects
        assert len(called) == 1
        if verifiable:
            assert (row.stage, row.result) == (Stage.COMMITTED, {"token": HIDDEN, "status": "paid"})
        else:
            assert (row.stage, report.stuck) == (Stage.STUCK, 1)
        assert SECRET not in everything(await journal.snapshot())

    run(main(), seed=0)


async def _unwritten(*_args: Any, **_given: Any) -> bool:
    return False


def test_a_question_that_needs_the_secret_is_not_asked() -> None:
    asked: list[Any] = []

    async def body(call: Call, context: CallContext) -> Any:
        asked.append(1)
        raise TimeoutError

    async def main() -> None:
        ask = Verify(tool="find", arguments={"key": compile_stored("args.card.number")})
        core = core_of(body, verify=ask)
        with pytest.raises(TimeoutError):
            await core.call(PAY)
        await core.settle()
        (row,) = (await core.journal.snapshot()).effects
        assert row.stage is Stage.STUCK
        assert "redacted" in row.error

    run(main(), seed=0)


def test_lists_are_entered() -> None:
    data = {"cards": [{"number": 1}, {"number": 2}], "other": [1, 2]}
    assert redacted("args", data, ["args.cards.number"])["cards"] == [{"number": HIDDEN}, {"number": HIDDEN}]
    assert redacted("args", data, ["args.cards[0].number"])["cards"] == [{"number": HIDDEN}, {"number": 2}]
    assert redacted("args", data, ["args.other[*]", "args.nowhere[7].x"])["other"] == [HIDDEN, HIDDEN]
    assert json.dumps(data).count(HIDDEN) == 0
