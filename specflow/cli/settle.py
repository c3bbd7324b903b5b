"""`specflow journal recover` and `resolve`: bringing to rest what a run left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from specflow.cli.db import AsJson, DbOption, clearly, url_of
from specflow.cli.tools import load_tools
from specflow.errors import ConfigurationError, JournalError
from specflow.terminal import readable

if TYPE_CHECKING:
    from specflow.effects.registry import ToolRegistry
    from specflow.journal.record import EffectRow, Snapshot
    from specflow.journal.sql import SqlJournal
    from specflow.settlement.recover import Report
    from specflow.settlement.watch import Notice
    from specflow.speculation.parts import Parts

ToolsOption = Annotated[
    str,
    typer.Option("--tools", metavar="PKG.MOD:ATTR", help="The tools that may be run: a list in a module."),
]
PolicyOption = Annotated[
    str, typer.Option("--policy", metavar="FILE", help="Their policy; without it the annotations count.")
]


def recover(  # noqa: PLR0917 - typer reads the options off the signature; nobody calls it by position
    db: DbOption,
    tools: ToolsOption = "",
    policy: PolicyOption = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and recover each session as soon as its owner is gone.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.01, metavar="SECONDS", help="Between two looks of --watch.")
    ] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Bring to rest what processes that died have left: undo, verify, or mark as stuck.

    Only the given tools are run, and only to undo or verify what is on record. The demo's own tools are
    known when the database holds the demo's desk. Sessions whose owner may be alive are left alone.
    With --watch it runs until SIGTERM or Ctrl-C, and prints a line (JSON with --json) for each session.
    """
    if watch:
        with clearly():
            asyncio.run(_watch(url_of(db), tools, policy, every=every, as_json=as_json))
        return
    with clearly():
        report = asyncio.run(_recover(url_of(db), tools, policy))
    counts = {"recovered": report.recovered, "compensated": report.compensated, "stuck": report.stuck}
    if as_json:
        typer.echo(json.dumps({**counts, "held": report.held, "waiting": report.waiting}))
    else:
        typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
        if report.held:
            typer.echo(f"{report.held} sessions are held by processes that may be alive; try again later")
        if report.waiting:
            typer.echo(
                f"{report.waiting} effects wait to be undone until what builds on them is not stuck any more"
            )
    raise typer.Exit(1 if report.stuck else 0)


def resolve(  # noqa: PLR0917 - typer reads the options off the signature; nobody calls it by position
    effect: Annotated[
        str, typer.Argument(metavar="EFFECT", help="The effect; its first characters will do.")
    ],
    db: DbOption,
    note: Annotated[
        str, typer.Option("--note", help="What you found out and did; kept in the journal.")
    ] = "",
    retry: Annotated[bool, typer.Option("--retry", help="Run the compensator once more instead.")] = False,
    tools: ToolsOption = "",
    policy: PolicyOption = "",
    as_json: AsJson = False,
) -> None:
    """Settle a stuck effect: say that you have undone it by hand, or let its compensator try again."""
    with clearly():
        if not retry and not note.strip():
            raise ConfigurationError(
                "a note is needed", hint='--note "refunded by hand, ticket 4711", or --retry'
            )
        stage = asyncio.run(_resolve(url_of(db), effect, note=note, retry=retry, tools=tools, policy=policy))
    typer.echo(json.dumps({"effect": effect, "stage": stage}) if as_json else f"{effect} is {stage}")
    raise typer.Exit(1 if stage == "stuck" else 0)


async def _recover(db: str, tools: str, policy: str) -> Report:
    from specflow.journal.owner import owner_id
    from specflow.settlement.recover import recover as bring_to_rest

    journal = _open(db)
    try:
        parts = _parts(journal, _registry(db, tools), policy)
        _check_tools(await journal.snapshot(), parts.registry)
        return await bring_to_rest(journal, parts.settler, owner=owner_id())
    finally:
        await journal.aclose()


async def _watch(db: str, tools: str, policy: str, *, every: float, as_json: bool) -> None:
    from specflow.journal.owner import owner_id
    from specflow.settlement.watch import Watch

    def tell(notice: Notice) -> None:
        typer.echo(json.dumps(_document(notice)) if as_json else _line(notice))
        sys.stdout.flush()

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    journal = _open(db)
    try:
        parts = _parts(journal, _registry(db, tools), policy)
        watching = Watch(journal, parts.settler, parts.registry, owner=owner_id(), tell=tell, every=every)
        typer.echo(f"watching; {len(parts.registry)} tools are known", err=True)
        await watching.run(stop)
    finally:
        await journal.aclose()


def _document(notice: Notice) -> dict[str, object]:
    document: dict[str, object] = {"news": notice.news.value}
    if notice.session_id:
        document["session"] = notice.session_id
    if notice.report is not None:
        document |= {"compensated": notice.report.compensated, "stuck": notice.report.stuck}
        document["waiting"] = notice.report.waiting
    if notice.text:
        document["why"] = notice.text
    return document


def _line(notice: Notice) -> str:
    words = {
        "recovered": "recovered",
        "left": "left alone",
        "failed": "could not be recovered now",
        "database_gone": "the database is gone, trying again",
        "database_back": "the database is back",
    }[notice.news]
    said = f"session {readable(notice.session_id)}: {words}" if notice.session_id else words
    report = notice.report
    if report is not None:
        counts = {"compensated": report.compensated, "stuck": report.stuck, "waiting": report.waiting}
        said += "".join(f", {count} {name}" for name, count in counts.items() if count)
    return f"{said}: {readable(notice.text)}" if notice.text else said


async def _resolve(db: str, effect: str, *, note: str, retry: bool, tools: str, policy: str) -> str:
    from specflow.journal.owner import owner_id
    from specflow.lifecycle import Stage
    from specflow.settlement.recover import settle_session

    journal, owner = _open(db), owner_id()
    try:
        row = _stuck(await journal.snapshot(), effect)
        parts = _parts(journal, _registry(db, tools), policy)
        lease = await journal.reopen_session(row.session_id, owner=owner) or await journal.take_session(
            row.session_id, owner=owner
        )
        if lease is None:
            raise JournalError(
                f"session {row.session_id} is held by a process that may be alive",
                hint="try again when it has ended",
            )
        stage = Stage.COMPENSATED
        if retry:
            stage = await parts.settler.retry(lease, row)
        else:
            await journal.move(
                lease, row.effect_id, Stage.STUCK, Stage.COMPENSATED, cause="resolved", error=note
            )
        await settle_session(journal, parts.settler, lease, cause="resolved")
        return stage.value
    finally:
        await journal.aclose()


def _open(db: str) -> SqlJournal:
    from specflow.journal.sql import SqlJournal

    return SqlJournal.open(db, create=False)


def _registry(db: str, tools: str) -> ToolRegistry:
    from specflow.demo.recovery import recovery_tools
    from specflow.effects.registry import ToolRegistry

    if tools:
        return load_tools(tools)
    found = recovery_tools(db)
    if not found:
        return ToolRegistry()
    from specflow.graph.tools import specs_of

    return ToolRegistry(specs_of(found))


def _parts(journal: SqlJournal, registry: ToolRegistry, policy: str) -> Parts:
    from specflow.clock import SystemClock
    from specflow.identity import RandomIds
    from specflow.journal.event import Observers
    from specflow.policy.load import load, loads
    from specflow.sealing.environment import sealer_of
    from specflow.speculation.assemble import assemble

    sealer = sealer_of(os.environ)
    judge = load(policy, tools=registry) if policy else loads("version: 1\n", tools=registry)
    return assemble(
        registry=registry,
        judge=judge,
        journal=journal,
        clock=SystemClock(),
        ids=RandomIds(),
        observers=Observers(),
        sealer=sealer,
    )


def _check_tools(snapshot: Snapshot, registry: ToolRegistry) -> None:
    """Refuse before anything is moved: without its tools an effect could only be marked stuck."""
    from specflow.journal.rules import SAGA_ABORTED
    from specflow.settlement.needs import missing_tools

    found: set[str] = set()
    for saga in (False, True):
        active = {
            row.session_id
            for row in snapshot.sessions
            if row.state == "active" and (row.decision == SAGA_ABORTED) is saga
        }
        rows = (row for row in snapshot.effects if row.session_id in active)
        found.update(missing_tools(rows, registry, saga=saga))
    missing = sorted(found)
    if missing:
        raise ConfigurationError(
            f"the journal needs tools that are not known here: {', '.join(missing)}",
            hint="give them with --tools pkg.mod:attr",
        )


def _stuck(snapshot: Snapshot, start: str) -> EffectRow:
    from specflow.lifecycle import Stage

    found = [row for row in snapshot.effects if row.effect_id.startswith(start)]
    if len(found) != 1:
        raise ConfigurationError(
            f"{'no' if not found else 'more than one'} effect starts with {start!r}",
            hint="see specflow journal list --stuck",
        )
    if found[0].stage is not Stage.STUCK:
        raise ConfigurationError(f"{found[0].effect_id} is not stuck but {found[0].stage}")
    return found[0]
