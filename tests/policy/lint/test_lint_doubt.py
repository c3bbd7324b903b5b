"""Early writes whose outcome nobody could find out: lint says so exactly where the settlement is stuck."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest

from specflow.clock import LoopClock
from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.execution.plans import undo_plan, verify_plan
from specflow.identity import SeededIds
from specflow.journal.event import Observers
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import Intent, Outcome
from specflow.lifecycle import Stage
from specflow.policy.finding import Finding, Severity
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy
from specflow.policy.verdict import Speculate
from specflow.speculation.assemble import assemble
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld

BOOK = Call(tool="book", args={"seat": "A1"})
CANCEL = "  cancel: {effect: confirmation_required, compensator_for: [book]}\n"
EARLY = "effect: compensatable, speculate: now, min_confidence: 0.9"
WHENS = {
    "speculate: now": True,
    "speculate: hold": False,
    "speculate: never": False,
    "": False,
    'speculate: hold, rules: [{id: r, when: args.seat == "A1", allow: {speculate: now}}]': True,
    'speculate: now, rules: [{id: r, when: args.seat == "A1", require: {speculate: hold}}]': None,
}
"""What an entry says of when, and whether BOOK then runs early; None: it does not, another call does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the policy of one tool may be written, and how its early call ended."""

    when: str
    verify: bool
    key: bool
    transaction: bool
    tolerant: bool
    by_result: bool
    known: bool
    lost: bool

    def text(self) -> str:
        """The policy."""
        argument = "result.booking_id" if self.by_result else "key"
        tolerant = str(self.tolerant).lower()
        parts = [
            "effect: compensatable",
            self.when,
            "verify: {tool: find, with: {booking: key}}" if self.verify else "",
            "idempotency_key: key" if self.key else "",
            "transaction: db" if self.transaction else "",
            f"compensate: {{tool: cancel, with: {{booking: {argument}}}, tolerates_missing: {tolerant}}}",
        ]
        book = ", ".join(part for part in parts if part)
        # The last one speaks of everything, and says nothing of when.
        more = "  find: {effect: read_only, speculate: never}\n  '*': {timeout: 5s}\n"
        return f"version: 1\ntools:\n  book: {{{book}}}\n{CANCEL}{more}"


NAMES = ("verify", "key", "transaction", "tolerant", "by_result", "known", "lost")
WAYS = [dict(zip(NAMES, values, strict=True)) for values in product((False, True), repeat=len(NAMES))]


def policy_of(text: str, tools: ToolRegistry | None = None) -> tuple[Policy, list[Finding]]:
    loaded = survey(text, tools=tools)
    assert loaded.compiled is not None, loaded.findings
    policy = Policy(loaded.compiled, tools=tools)
    return policy, [item for item in lint(policy, loaded.reads) if item.code == "SF310"]


def found(entry: str, *tools: ToolSpec) -> list[Finding]:
    registry = ToolRegistry(tools) if tools else None
    return policy_of(f"version: 1\ntools:\n{entry}", registry)[1]


async def settled(policy: Policy, world: LedgerWorld, tool: ToolSpec | None, *, lost: bool) -> Stage:
    """Where an early booking of that policy comes to rest that nobody has asked for, and has no outcome."""
    journal = MemoryJournal(LoopClock(), is_dead=lambda owner: owner == "dead")
    settings = policy.plan("book", tool, registered=True).settings
    parts = assemble(
        registry=ToolRegistry(world.tools()),
        judge=world.judge(),
        journal=journal,
        clock=LoopClock(),
        ids=SeededIds(0),
        observers=Observers([]),
    )
    lease = await journal.open_session("s1", thread="t", owner="dead")
    intent = Intent(
        effect_id="e1",
        branch_id="b1",
        tool="book",
        schema_hash="h",
        policy_hash=policy.hash,
        effect=EffectClass.COMPENSATABLE,
        fingerprint=BOOK.fingerprint,
        args=BOOK.plain_args(),
        idem_key="k1",
        keyed=bool(settings.idempotency_key),
        hypothesis="test",
        undo=undo_plan(settings),
        verify=verify_plan(settings),
    )
    await journal.intend(lease, intent)
    if not lost:
        # As the door writes it down: what is rolled back has certainly not happened.
        ended = Stage.FAILED if settings.transaction else Stage.UNKNOWN
        await journal.record(lease, "e1", Outcome(stage=ended, error="ToolTimeoutError: no answer"))
    await journal.abort(lease, "b1", "test")
    row = await journal.effect("e1")
    assert row is not None
    return await parts.settler.rest(lease, row, cause="test")


@pytest.mark.parametrize("when", WHENS)
def test_it_is_found_exactly_where_an_early_call_could_be_stuck(when: str) -> None:
    """Every way to write such a policy, and the settlement itself says what comes of it."""
    early = WHENS[when]
    path = f"tools.book.{'rules[0].allow' if 'allow' in when else 'speculate'}"
    for chosen in WAYS:
        way = Way(when=when, **chosen)
        # Its effect is there, as far as anybody can see; in a transaction it is rolled back.
        world = LedgerWorld(bookings={} if way.transaction else {"k1": "A1"})
        tools = ToolRegistry(world.tools())
        policy, findings = policy_of(way.text(), tools if way.known else None)
        book = tools.require("book")
        assert (policy.judge(book, BOOK, context={}).speculate is Speculate.NOW) is bool(early), way
        rest = settled(policy, world, book if way.known else None, lost=way.lost)
        stuck = run(rest, seed=0) is Stage.STUCK
        assert stuck is bool(world.seats), f"what is stuck stands: {way}"
        warned = [path] if stuck and early is not False else []
        assert [item.path for item in findings] == warned, way
        assert all(item.severity is Severity.WARNING for item in findings)


@pytest.mark.parametrize(
    ("more", "undo", "says"),
    [
        ("", "with: {id: key}", "first: say `tolerates_missing: true` if cancel does no harm"),
        ("", "with: {id: result.id}", "first: add a `verify`, or map `key`"),
        ("", "with: {id: result.id}, tolerates_missing: true", "first: map `key` or `args`"),
        (", idempotency_key: k", "with: {id: key}", "(its key does not tell: a guess is not repeated)"),
        ("", "with: {id: key}", "times out (60 s)"),
        (", timeout: 5s", "with: {id: key}", "times out (5 s)"),
    ],
)
def test_the_message_says_what_can_happen_and_what_is_cheapest(more: str, undo: str, says: str) -> None:
    (finding,) = found(f"  book: {{{EARLY}{more}, compensate: {{tool: cancel, {undo}}}}}\n{CANCEL}")
    assert says in finding.message
    assert "may stand until an operator resolves it" in finding.message
    assert ("key does not tell" in finding.message) is bool(more.startswith(", idem"))
    assert (finding.line, finding.path) == (3, "tools.book.speculate")


def spec(name: str, *required: str, **marks: str) -> ToolSpec:
    shape = {"type": "object", "properties": {key: {} for key in required}, "required": list(required)}
    marked = Annotation(effect=EffectClass.COMPENSATABLE, **marks) if marks else None
    return ToolSpec(name=name, parameters=shape, annotation=marked)


def test_what_the_source_declares_counts() -> None:
    entry = f"  book: {{{EARLY}}}\n{CANCEL}"
    cancel, find = spec("cancel", "id"), spec("find", "id")
    assert len(found(entry, spec("book", "id", undo="cancel"), cancel)) == 1
    assert found(entry, spec("book", "id", undo="cancel", transaction="db"), cancel) == []
    assert found(entry, spec("book", "id", undo="cancel", verify="find"), cancel, find) == []
    assert len(found(entry, spec("book", "id", undo="cancel", idempotency_key="id"), cancel)) == 1


def test_a_pattern_is_judged_by_the_tools_that_it_speaks_about() -> None:
    undo = "compensate: {tool: cancel, with: {id: key}}"
    pattern = f"  'book*': {{{EARLY}, {undo}}}\n  cancel: {{effect: confirmation_required}}\n"
    verify = "  book_room: {verify: {tool: find, with: {id: key}}}\n  find: {effect: read_only}\n"
    room, table, others = (
        spec("book_room", "id"),
        spec("book_table", "id"),
        (spec("cancel", "id"), spec("find", "id")),
    )
    assert [item.path for item in found(pattern)] == ["tools.book*.speculate"]
    assert found(pattern + verify, room, *others) == []
    (finding,) = found(pattern + verify, room, table, *others)
    assert "an early call of book_table" in finding.message


def test_nothing_is_said_of_what_never_runs_early() -> None:
    undo = "compensate: {tool: cancel, with: {id: key}}"
    assert found(f"  book: {{{EARLY}}}\n") == []
    secret = undo.replace("key", "args.x")
    assert found(f"  book: {{{EARLY}, redact: [args.x], {secret}}}\n{CANCEL}") == []
    assert (
        found(f"  book: {{{EARLY}, {undo}}}\n{CANCEL}", spec("book", "id"), spec("cancel", "id", "why")) == []
    )
    injected = ToolSpec(name="book", parameters={"type": "object"}, injected=frozenset({"state"}))
    assert found(f"  book: {{{EARLY}, {undo}}}\n{CANCEL}", injected, spec("cancel", "id")) == []
    assert found("  book: {effect: read_only, speculate: now}\n") == []


def test_an_undo_whose_arguments_are_not_known_yet_is_believed_to_be_tolerant() -> None:
    tolerant = f"  book: {{{EARLY}, compensate: {{tool: cancel, tolerates_missing: true}}}}\n{CANCEL}"
    assert found(tolerant) == []
    assert len(found(tolerant.replace("true", "false"))) == 1
    returns = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}
    book = ToolSpec(name="book", parameters={"type": "object"}, result=returns)
    assert len(found(tolerant, book, spec("cancel", "number"))) == 1
