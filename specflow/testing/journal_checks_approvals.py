"""The contract's checks of approvals: asked once, used by one effect, bound to what was shown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.errors import ApprovalError, InvariantError, JournalError
from specflow.journal.approval import Approval, Consent
from specflow.journal.record import Intent, Outcome
from specflow.journal.verify import verify
from specflow.lifecycle import ApprovalState, Stage
from specflow.testing.journal_bench import DONE, Bench, check, refuses

SOLD_OUT = Outcome(stage=Stage.FAILED, error="sold out")


def question(bench: Bench, name: str = "q", **changes: Any) -> Approval:
    """A question about `Bench.intent`, asked at 100 and good until 200."""
    asked = Approval(
        approval_id=f"{bench.tag}-{name}",
        tenant="",
        thread=bench.tag,
        interrupt_id=f"{bench.tag}-interrupt-{name}",
        call_name=f"{bench.tag}-call",
        tool="book",
        fingerprint="print",
        schema_hash="schema",
        policy_hash="policy",
        shown="book needs your approval",
        shown_hash="shown",
        asked_at=100.0,
        expires_at=200.0,
    )
    return replace(asked, **changes)


def rests_on(bench: Bench, name: str = "q", *, decision: str = "approve", at: float = 150.0) -> Consent:
    """The consent of that question."""
    return Consent(approval_id=f"{bench.tag}-{name}", decision=decision, at=at)


def intent_on(bench: Bench, name: str, consent: Consent, **changes: Any) -> Intent:
    """A real call that a person has approved."""
    changes = {"adopted_by": bench.real(name), "effect": EffectClass.CONFIRMATION_REQUIRED, **changes}
    return bench.intent(name, consent=consent, **changes)


@check
async def a_question_stays_as_it_was_first_asked(bench: Bench) -> None:
    first, journal = question(bench), bench.journal
    assert await journal.ask(first) == first
    assert await journal.ask(replace(first, fingerprint="other", asked_at=900.0)) == first
    later = await journal.ask(question(bench, "later", asked_at=101.0, shown="a\x00b"))
    assert later.shown == "a\ufffdb"
    assert await journal.approval(first.approval_id) == first
    assert await journal.approval(f"{bench.tag}-ghost") is None
    assert await journal.open_approvals(first.call_name) == (first, later)
    assert await journal.open_approvals(f"{bench.tag}-other") == ()
    await refuses(JournalError, journal.ask(question(bench, "empty", call_name="")))
    both = await asyncio.gather(*(journal.ask(question(bench, "race", shown=text)) for text in "ab"))
    assert both[0] == both[1]


@check
async def an_approval_is_decided_once(bench: Bench) -> None:
    first, journal = question(bench), bench.journal
    assert not await journal.decide(first.approval_id, ApprovalState.VOID, at=1.0)
    await journal.ask(first)
    await refuses(InvariantError, journal.decide(first.approval_id, ApprovalState.USED, at=1.0))
    assert await journal.decide(
        first.approval_id, ApprovalState.REFUSED, decision="reject", cause="too dear", at=120.0
    )
    assert not await journal.decide(first.approval_id, ApprovalState.VOID, at=130.0)
    row = await journal.approval(first.approval_id)
    assert row is not None
    assert (row.state, row.decision, row.cause, row.decided_at) == ("refused", "reject", "too dear", 120.0)
    assert await journal.open_approvals(first.call_name) == ()
    lease = await bench.lease()
    error = await refuses(ApprovalError, journal.intend(lease, intent_on(bench, "no", rests_on(bench))))
    assert error.facts["approval_id"] == first.approval_id
    assert await journal.effect(f"{bench.tag}-no") is None, "nothing was written"


@check
async def an_intent_uses_its_approval_up(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await journal.ask(question(bench))
    await journal.intend(lease, intent_on(bench, "first", rests_on(bench)))
    row = await journal.approval(f"{bench.tag}-q")
    assert row is not None
    assert (row.state, row.decision, row.effect_id) == ("used", "approve", f"{bench.tag}-first")
    assert row.decided_at == 150.0
    await refuses(ApprovalError, journal.intend(lease, intent_on(bench, "second", rests_on(bench))))
    assert await journal.record(lease, f"{bench.tag}-first", DONE)
    await refuses(ApprovalError, journal.intend(lease, intent_on(bench, "third", rests_on(bench))))
    assert not await journal.decide(f"{bench.tag}-q", ApprovalState.VOID, at=160.0)
    assert [item.effect_id for item in await journal.effects(lease.session_id)] == [f"{bench.tag}-first"]
    assert verify(await bench.rows()) == ()


@check
async def what_did_not_happen_may_be_tried_again_on_the_same_approval(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await journal.ask(question(bench))
    for name in ("first", "second"):
        await journal.intend(lease, intent_on(bench, name, rests_on(bench)))
        assert await journal.record(lease, f"{bench.tag}-{name}", SOLD_OUT)
    other = intent_on(bench, "third", rests_on(bench), fingerprint="other")
    await refuses(ApprovalError, journal.intend(lease, other))
    row = await journal.approval(f"{bench.tag}-q")
    assert row is not None
    assert row.effect_id == f"{bench.tag}-second"
    assert verify(await bench.rows()) == ()


@check
async def an_approval_covers_only_what_was_shown(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await journal.ask(question(bench))
    consent = rests_on(bench)
    bad = {
        "nobody asked": (rests_on(bench, "ghost"), {}),
        "other arguments": (consent, {"fingerprint": "other"}),
        "another tool": (consent, {"tool": "pay"}),
        "an edit to another tool": (replace(consent, decision="edit"), {"tool": "pay"}),
        "another schema": (consent, {"schema_hash": "newer"}),
        "another policy": (consent, {"policy_hash": "newer"}),
        "too late": (replace(consent, at=200.5), {}),
        "no yes": (replace(consent, decision="reject"), {}),
    }
    for name, (given, changes) in bad.items():
        intent = intent_on(bench, name, given, **changes)
        await refuses(ApprovalError, journal.intend(lease, intent))
        assert await journal.effect(intent.effect_id) is None, name
    edited = intent_on(bench, "edited", replace(consent, decision="edit", at=200.0), fingerprint="other")
    await journal.intend(lease, edited)
    assert verify(await bench.rows()) == ()


@check
async def of_many_intents_at_once_one_has_the_approval(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await journal.ask(question(bench))
    several = (journal.intend(lease, intent_on(bench, f"e{n}", rests_on(bench))) for n in range(8))
    plain = (bench.start(lease, f"p{n}") for n in range(8))
    answers = await asyncio.gather(*several, *plain, return_exceptions=True)
    assert sum(isinstance(answer, ApprovalError) for answer in answers) == 7
    assert sum(isinstance(answer, BaseException) for answer in answers) == 7, "others are not touched"
    assert len(await journal.effects(lease.session_id)) == 9
