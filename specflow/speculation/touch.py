"""What a call touches: the resource keys it reads and writes, in the normal form of its arguments.

A key that is built from the result is a pattern (`order:*`) until the result is there, and then narrowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specflow.effects.claim import claims
from specflow.effects.footprint import Keys, keys
from specflow.journal.record import EffectRow
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict
from specflow.speculation.match import normalised
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation


def claims_of(settings: ToolSettings, args: Mapping[str, Any]) -> tuple[str, ...]:
    """What a write claims in the journal, of arguments in their normal form like its footprint."""
    return claims(settings.writes, _normal(settings, args), settings.redact)


def footprint_of(
    settings: ToolSettings, args: Mapping[str, Any], verdict: Verdict, result: Any = None
) -> Keys:
    """What a call touches: for a write what it writes and reads, for a read what it reads.

    Of arguments in their normal form: what counts as the same call must touch the same things.
    """
    args = _normal(settings, args)
    reads = keys(settings.reads, args, result)
    if not verdict.effect.writes:
        return reads
    writes = keys(settings.writes, args, result)
    if writes is None:
        return None
    return writes | (reads or frozenset())


def disturbs(settings: ToolSettings, verdict: Verdict) -> bool:
    """Whether other calls may see what the call does: writes, and reads that declare `writes`."""
    return verdict.effect.writes or bool(settings.writes)


def disturbed_by(
    settings: ToolSettings, args: Mapping[str, Any], verdict: Verdict, result: Any = None
) -> Keys:
    """What must not be read while the call is made: all it touches, for a write.

    For a read what it declares as `writes`: state that other calls see, such as a cache it refreshes. That
    counts as written, although there is nothing to undo.
    """
    if verdict.effect.writes:
        return footprint_of(settings, args, verdict, result)
    return keys(settings.writes or (), _normal(settings, args), result)


def written_by(parts: Parts, row: EffectRow) -> Keys:
    """What an effect on record has written, as far as that can be told here."""
    tool = parts.registry.get(row.tool)
    if tool is None or row.redacted:
        return None
    settings = parts.judge.settings(tool)
    return keys(settings.writes, _normal(settings, row.args))


def _normal(settings: ToolSettings, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return normalised(args, settings.match) if settings.match.mode != "exact" else args


def narrow(speculation: Speculation, result: Any) -> None:
    """What a read has touched is known now, also where its keys are built from its result."""
    settings, verdict, args = speculation.settings, speculation.verdict, speculation.call.args
    speculation.footprint = footprint_of(settings, args, verdict, result)
    if speculation.span is not None:
        speculation.span.keys = disturbed_by(settings, args, verdict, result)
