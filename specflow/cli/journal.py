"""`specflow journal`: list, show, verify, prune."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from specflow.cli.db import AsJson, DbOption, clearly, url_of
from specflow.errors import JournalError
from specflow.terminal import readable

if TYPE_CHECKING:
    from specflow.journal.record import EffectRow, EventRow, SessionRow, Snapshot

app = typer.Typer(
    name="journal",
    help="Look at the journal and keep it in order.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _snapshot(db: str) -> Snapshot:
    from specflow.journal.reads import snapshot_of

    with clearly():
        return snapshot_of(url_of(db))


@app.command("list", epilog="Example: specflow journal list --db sqlite:///specflow.db --stuck")
def list_command(
    db: DbOption,
    thread: Annotated[str, typer.Option("--thread", help="Only sessions of this thread.")] = "",
    active: Annotated[bool, typer.Option("--active", help="Only sessions not yet closed.")] = False,
    stuck: Annotated[bool, typer.Option("--stuck", help="Only sessions that hold a stuck effect.")] = False,
    as_json: AsJson = False,
) -> None:
    """List sessions, oldest first, with how many effects stand where."""
    snapshot = _snapshot(db)
    stages: dict[str, Counter[str]] = {row.session_id: Counter() for row in snapshot.sessions}
    for effect in snapshot.effects:
        stages[effect.session_id][effect.stage.value] += 1
    rows = [
        row
        for row in snapshot.sessions
        if (not thread or row.thread == thread)
        and (not active or row.state == "active")
        and (not stuck or stages[row.session_id]["stuck"])
    ]
    if as_json:
        listed = [{**_session_json(row), "effects": dict(stages[row.session_id])} for row in rows]
        typer.echo(json.dumps({"sessions": listed}))
        return
    if not rows:
        typer.echo("no sessions")
    for row in rows:
        typer.echo(f"{_session_line(row)}  {_counts(stages[row.session_id])}")


@app.command(epilog="Example: specflow journal show eff_3f2a --db sqlite:///specflow.db")
def show(
    subject: Annotated[
        str, typer.Argument(metavar="ID", help="A session, branch or effect; its first characters will do.")
    ],
    db: DbOption,
    as_json: AsJson = False,
) -> None:
    """Show one session, branch or effect with everything that happened to it, in order."""
    snapshot = _snapshot(db)
    with clearly():
        found = _find(snapshot, subject)
    effects = [row for row in snapshot.effects if found in {row.session_id, row.branch_id, row.effect_id}]
    branches = {row.branch_id for row in effects} | {found}
    whole = any(row.session_id == found for row in snapshot.sessions)
    subjects = {row.effect_id for row in effects} | branches
    events = [
        event
        for event in snapshot.events
        if event.subject in subjects or (whole and event.session_id == found)
    ]
    claims = [row for row in snapshot.claims if row.effect_id in subjects]
    approvals = {row.effect_id: row for row in snapshot.approvals if row.effect_id in subjects}
    if as_json:
        document = {
            "id": found,
            "sessions": [_session_json(row) for row in snapshot.sessions if row.session_id == found],
            "branches": [asdict(row) for row in snapshot.branches if row.branch_id in branches],
            "effects": [_effect_json(row) for row in effects],
            "claims": [asdict(row) for row in claims],
            "approvals": [asdict(row) for row in approvals.values()],
            "events": [asdict(row) for row in events],
        }
        typer.echo(json.dumps(document))
        return
    for session in snapshot.sessions:
        if session.session_id == found:
            typer.echo(_session_line(session))
    patches = {row.undo.covered_by: row for row in snapshot.effects if row.undo and row.undo.covered_by}
    for effect in effects:
        typer.echo(_effect_text(effect))
        if (patch := patches.get(effect.effect_id)) is not None:
            typer.echo(
                f"  patched by {readable(patch.effect_id)}: {readable(patch.tool)}, {patch.stage.value}"
            )
        if (yes := approvals.get(effect.effect_id)) is not None:
            typer.echo(
                f"  a person said {readable(yes.decision)} at {_when(yes.decided_at or 0.0)}, asked at "
                f"{_when(yes.asked_at)} by interrupt {readable(yes.interrupt_id)}"
            )
        for claim in claims:
            if claim.effect_id == effect.effect_id:
                typer.echo(f"  claims {readable(claim.resource)} ({claim.mode})")
    names = {row.effect_id: row.tool for row in effects} | {row.branch_id: "branch" for row in effects}
    for event in events:
        typer.echo(_event_line(event, names))


@app.command(epilog="Example: specflow journal verify --db sqlite:///specflow.db --json")
def verify(db: DbOption, as_json: AsJson = False) -> None:
    """Check every invariant that the rows can show. Exit 0: all hold, 1: some do not."""
    from specflow.journal.verify import verify as check

    snapshot = _snapshot(db)
    violations = check(snapshot)
    counts = {
        "sessions": len(snapshot.sessions),
        "branches": len(snapshot.branches),
        "effects": len(snapshot.effects),
        "events": len(snapshot.events),
        "predictions": len(snapshot.predictions),
        "approvals": len(snapshot.approvals),
    }
    if as_json:
        listed = [asdict(violation) for violation in violations]
        typer.echo(json.dumps({"ok": not violations, "violations": listed, "counts": counts}))
    else:
        for violation in violations:
            rows = " ".join(map(readable, violation.rows))
            typer.echo(f"{violation.invariant}  {readable(violation.message)}: {rows}")
        said = f"{len(violations)} violations" if violations else "all invariants hold"
        typer.echo(f"{said} over {counts['sessions']} sessions, {counts['effects']} effects")
    raise typer.Exit(1 if violations else 0)


@app.command(epilog="Example: specflow journal prune --db sqlite:///specflow.db --older-than 90 --dry-run")
def prune(
    db: DbOption,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", help="Age of the last event, in days.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete closed sessions that are old. What is active, unsettled or stuck stays, whatever its age."""
    from specflow.journal.prune import prune as delete

    with clearly():
        pruned = delete(url_of(db), older_than_days=older_than, now=time.time(), dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, **asdict(pruned)}))
    else:
        verb = "would delete" if dry_run else "deleted"
        typer.echo(f"{verb} {pruned.sessions} sessions, {pruned.effects} effects, {pruned.events} events")


def _find(snapshot: Snapshot, wanted: str) -> str:
    known = {row.session_id for row in snapshot.sessions}
    known |= {row.branch_id for row in snapshot.branches} | {row.effect_id for row in snapshot.effects}
    if wanted in known:
        return wanted
    matches = sorted(name for name in known if wanted and name.startswith(wanted))
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise JournalError(f"{wanted!r} is ambiguous", hint=f"{matches[0]}, {matches[1]}, ...")
    raise JournalError(f"the journal knows no session, branch or effect {wanted!r}", hint="journal list")


def _session_json(row: SessionRow) -> dict[str, object]:
    return {**asdict(row), "state": row.state.value}


def _effect_json(row: EffectRow) -> dict[str, object]:
    """The row; of what is sealed only where it is, and whether it was kept."""
    sealed = {
        name: {"places": [list(place) for place in mark.places], "kept": bool(mark.box)}
        for name, mark in row.sealed.items()
    }
    return {**asdict(row), "sealed": sealed}


def _session_line(row: SessionRow) -> str:
    state = row.decision or row.state.value
    thread = readable(row.thread) or "-"
    return f"{_when(row.created_at)}  {readable(row.session_id)}  thread {thread}  {state}  fence {row.fence}"


def _counts(stages: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {stage}" for stage, count in sorted(stages.items())) or "no effects"


def _effect_text(row: EffectRow) -> str:
    args = "(redacted)" if row.redacted else readable(json.dumps(row.args))
    lines = [
        f"effect {readable(row.effect_id)}: {readable(row.tool)} {args}",
        f"  {row.effect.value}, {row.stage.value}, attempts to undo: {row.attempts}",
        f"  key {readable(row.idem_key)}, adopted by {readable(row.adopted_by or 'nobody')}",
    ]
    if row.undo is not None and row.undo.covered_by:
        lines.append(f"  patches {readable(row.undo.covered_by)}, whose undo takes back both")
    lines += [f"  because {readable(reason)}" for reason in row.reasons]
    if row.stage.value in {"done", "committed"}:
        lines.append(f"  result {readable(json.dumps(row.result))}")
    if row.error:
        lines.append(f"  error {readable(row.error)}")
    return "\n".join(lines)


def _event_line(event: EventRow, names: Mapping[str, str]) -> str:
    name = readable(names.get(event.subject, "session"))
    cause = f"  ({readable(event.cause)})" if event.cause else ""
    move = f"{event.source or 'new'} -> {event.target}"
    return f"{_when(event.at)}  {name:<16} {move}{cause}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat(sep=" ", timespec="milliseconds")[:23]
