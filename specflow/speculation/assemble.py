"""Putting a core together: door, undoer and settler over one journal, one registry and one policy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from specflow.clock import Clock
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import ConfigurationError
from specflow.execution.before_image import BeforeImages
from specflow.execution.door import ControlFlow, Door
from specflow.identity import IdSource
from specflow.journal.event import Observers
from specflow.journal.port import Journal
from specflow.policy.settings import Judge
from specflow.sealing.sealer import Sealer
from specflow.settlement.rest import Settler
from specflow.settlement.stored import compile_stored
from specflow.settlement.undo import Persistence, Undoer
from specflow.speculation.durations import Durations
from specflow.speculation.parts import Parts


def hide_filled(registry: ToolRegistry, judge: Judge, tool: ToolSpec) -> None:
    """What takes the idempotency key, or a transaction, is specflow's to fill, wherever it was named."""
    settings = judge.settings(tool)
    for name in (settings.idempotency_key, settings.transaction):
        if name and name not in tool.hidden:
            registry.hide(tool.name, name)


def check_transactions(registry: ToolRegistry, judge: Judge, journal: Journal) -> None:
    """Whether every tool that wants a transaction of the journal's database can have one.

    Raises:
        ConfigurationError: the journal is no database.
    """
    wanting = [tool.name for tool in registry if judge.settings(tool).transaction]
    if wanting and not journal.offers_transactions:
        raise ConfigurationError(
            f"{', '.join(sorted(wanting))}: `transaction` needs an SQL journal, and this one is no database",
            hint='give a URL, such as journal="sqlite:///specflow.db", or take `transaction` out',
            tools=sorted(wanting),
        )


def assemble(
    *,
    registry: ToolRegistry,
    judge: Judge,
    journal: Journal,
    clock: Clock,
    ids: IdSource,
    observers: Observers,
    control_flow: ControlFlow = lambda _error: False,
    persistence: Persistence | None = None,
    sealer: Sealer | None = None,
    jitter: random.Random | None = None,
    **options: Any,
) -> Parts:
    """The parts of a coordinator. `options` are further fields of `Parts`.

    `control_flow` tells a framework's steering exceptions from failures; `persistence` how often an undo
    is tried, `jitter` spreads its tries; `sealer` keeps what the policy redacts.
    """

    def key_parameter(tool: ToolSpec) -> str:
        return judge.settings(tool).idempotency_key

    def transaction_parameter(tool: ToolSpec) -> str:
        return judge.settings(tool).transaction

    def secrets(tool: str) -> Sequence[str]:
        spec = registry.get(tool)
        return judge.settings(spec).redact if spec is not None else ()

    def compensates(tool: str, compensator: str) -> bool:
        # INVARIANT: only a tool that is declared to undo this very tool is ever run to undo it.
        spec = registry.get(tool)
        if spec is None:
            return False
        undo = judge.settings(spec).undo
        annotated = spec.annotation.undo if spec.annotation is not None else ""
        return compensator in {undo.tool if undo is not None else "", annotated}

    for tool in tuple(registry):
        hide_filled(registry, judge, tool)
    check_transactions(registry, judge, journal)
    images = BeforeImages(
        registry,
        judge,
        clock,
        context=options.get("context"),
        control_flow=control_flow,
        keeps_secrets=sealer is not None,
    )
    durations = Durations()
    undoer = Undoer(
        journal,
        registry,
        clock,
        compile_stored,
        observers=observers,
        compensates=compensates,
        key_parameter=key_parameter,
        transaction_parameter=transaction_parameter,
        persistence=persistence,
        jitter=jitter,
        sealer=sealer,
    )
    return Parts(
        registry=registry,
        judge=judge,
        journal=journal,
        door=Door(
            journal,
            clock,
            ids,
            control_flow=control_flow,
            images=images,
            sealer=sealer,
            took=durations.saw,
        ),
        settler=Settler(
            journal,
            registry,
            clock,
            compile_stored,
            undoer,
            key_parameter=key_parameter,
            secrets=secrets,
            sealer=sealer,
        ),
        clock=clock,
        ids=ids,
        observers=observers,
        durations=durations,
        **options,
    )
