"""Everything that decides about speculation here, in one list."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specflow.clock import SystemClock
from specflow.doctor import environment, journal, policy, runtime, tools
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import ConfigurationError
from specflow.graph.remark import Level, Remark
from specflow.journal.memory import MemoryJournal
from specflow.journal.sql import SqlJournal
from specflow.policy.settings import Judge
from specflow.policy.verdict import Asking
from specflow.sealing.environment import sealer_of
from specflow.speculation.parts import Mode


def examine(target: object = None, *, policy: Sequence[str | Path] = (), db: str = "") -> list[Remark]:
    """What is to be said, in the order of reading. Nothing is run, written or migrated.

    `target` is a `Runtime`, a compiled graph, or a `Workflow`; without one only the environment, the files
    of `policy` and the journal at `db` are looked at. With both, the tools are judged by `policy`.

    Raises:
        ConfigurationError: the target is something else, or SPECFLOW_JOURNAL_KEY cannot be used.
        JournalError: `db` names no database that a journal can be in.
        PolicyError: the policy of a workflow is broken.
    """
    keeps_secrets = sealer_of(os.environ) is not None
    with ExitStack() as stack:
        subject = _subject(target, stack)
        found = list(environment.of_environment())
        found += subject.remarks
        registry = ToolRegistry(subject.specs) if target is not None else None
        judge, said = _policy(subject, policy, registry, keeps_secrets=keeps_secrets)
        found += said
        found += _tools(subject, judge)
        found += _runtimes(subject)
        found += subject.graph(_asks(subject, judge))
        found += _journal(subject, db)
    return found


@dataclass(slots=True, kw_only=True)
class _Subject:
    """What the target was found to be made of."""

    hosts: list[Any] = field(default_factory=list)
    specs: list[ToolSpec] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    graph: Callable[[Callable[[ToolSpec], bool]], list[Remark]] = lambda _asks: []


def _subject(target: object, stack: ExitStack) -> _Subject:
    if target is None:
        return _Subject()
    # Importing LangGraph takes a second, and without a target nothing of it is needed.
    from specflow.graph.examine import compiled, declared, of_graph, specs  # noqa: PLC0415 - without a target LangGraph is not imported
    from specflow.graph.reached import reached  # noqa: PLC0415 - as above
    from specflow.runtime import Runtime  # noqa: PLC0415 - as above
    from specflow.workflow import Workflow  # noqa: PLC0415 - as above

    if isinstance(target, Runtime):
        return _Subject(hosts=[target.host], specs=list(target.registry))
    remarks: list[Remark] = []
    if isinstance(target, Workflow):
        if target.policy is None:
            raise ConfigurationError(f"{target.name} has no policy", hint='Workflow(..., policy="...")')
        made = stack.enter_context(
            Runtime(
                target.policy, tools=target.tools(), journal=MemoryJournal(SystemClock()), telemetry=False
            )
        )
        remarks += _findings(target.check(runtime=made))
        if any(remark.level is Level.PROBLEM for remark in remarks):
            return _Subject(hosts=[made.host], specs=list(made.registry), remarks=remarks)
        graph = declared(target, made.host)
    elif compiled(target):
        graph = target
    else:
        raise ConfigurationError(
            f"{type(target).__name__} cannot be examined",
            hint="a Runtime, a compiled graph, a Workflow, or a function without arguments returning one",
        )
    parts = reached(graph)
    by_name: dict[str, ToolSpec] = {}
    for host in parts.hosts:
        for spec in host.parts.registry:
            by_name.setdefault(spec.name, spec)
    for spec, remark in specs(parts):
        by_name.setdefault(spec.name, spec)
        remarks += [remark] if remark is not None else []
    return _Subject(
        hosts=list(parts.hosts),
        specs=list(by_name.values()),
        remarks=remarks,
        graph=lambda asks: list(of_graph(graph, parts, asks, can_ask=isinstance(target, Workflow))),
    )


def _findings(found: Sequence[Any]) -> list[Remark]:
    return [
        Remark(
            area="workflow",
            subject=item.step,
            level=Level.PROBLEM if item.error else Level.WARNING,
            found=f"{item.message} [{item.code}]",
        )
        for item in found
    ]


def _policy(
    subject: _Subject, files: Sequence[str | Path], registry: ToolRegistry | None, *, keeps_secrets: bool
) -> tuple[Judge | None, list[Remark]]:
    if files:
        return policy.of_files(files, registry, keeps_secrets=keeps_secrets)
    if not subject.hosts:
        return None, []
    parts = subject.hosts[0].parts
    return parts.judge, list(policy.of_loaded(parts.judge, parts.registry, keeps_secrets=keeps_secrets))


def _tools(subject: _Subject, judge: Judge | None) -> Iterator[Remark]:
    if judge is None:
        return
    context = subject.hosts[0].parts.context if subject.hosts else {}
    for spec in subject.specs:
        yield tools.of_tool(spec, judge, context)


def _asks(subject: _Subject, judge: Judge | None) -> Callable[[ToolSpec], bool]:
    def asks(spec: ToolSpec) -> bool:
        # Nobody is asked where specflow only watches, or is off.
        if judge is None or any(host.parts.mode is not Mode.ON for host in subject.hosts):
            return False
        context = subject.hosts[0].parts.context if subject.hosts else {}
        verdict = judge.judge(spec, spec.call({}), context=context)
        return verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK

    return asks


def _runtimes(subject: _Subject) -> Iterator[Remark]:
    for host in subject.hosts:
        yield from runtime.of_parts(host.parts)


def _journal(subject: _Subject, db: str) -> Iterator[Remark]:
    if db:
        yield from journal.of_journal(db)
        return
    for host in subject.hosts:
        held = host.parts.journal
        if isinstance(held, SqlJournal):
            url = held.database.url.render_as_string(hide_password=False)
            yield from journal.of_journal(url, durability=held.database.durability)
        else:
            yield Remark(
                area=journal.AREA,
                subject=type(held).__name__,
                found="no database to look into; a workflow's own is at `app.specflow`, or give --db",
            )
    if not subject.hosts:
        yield Remark(area=journal.AREA, subject="none", found="not looked at", mend="--db sqlite:///FILE")
