"""What is written down of a call that returned, and what can be handed out again."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from specflow.effects.redaction import HIDDEN, Hidden, hide
from specflow.errors import ConflictError, SealedError
from specflow.journal.record import EffectRow, Outcome
from specflow.lifecycle import Stage
from specflow.sealing.sealed import Sealed, Subject, seal, unseal
from specflow.sealing.sealer import Sealer

log = logging.getLogger("specflow")


def success(
    value: Any, secrets: Sequence[str] = (), *, subject: Subject | None = None, sealer: Sealer | None = None
) -> Outcome:
    """The outcome of a call that returned `value`, without what the paths `secrets` name.

    A value that JSON does not give back as it was (a tuple, an object) cannot be handed out again; nor can
    one of which something is hidden, unless a `sealer` keeps it, for `subject`.
    """
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
        same = bool(plain == value)
    except (TypeError, ValueError, RecursionError):
        same = False
        if secrets:
            sealed = Sealed(places=((),))
            return Outcome(stage=Stage.DONE, result=HIDDEN, replayable=False, sealed=sealed)
    if secrets:
        hidden = hide("result", plain, secrets)
        sealed = _sealed(hidden, subject, sealer)
        kept = bool(sealed.box or not sealed.places)
        return Outcome(stage=Stage.DONE, result=hidden.shown, replayable=same and kept, sealed=sealed)
    if same:
        return Outcome(stage=Stage.DONE, result=plain)
    return Outcome(stage=Stage.DONE, result=repr(value)[:10_000], replayable=False)


def failure(error: BaseException, *, certain: bool, quiet: bool) -> Outcome:
    """The outcome of a call that raised. `certain`: nothing happened; `quiet`: it may quote secrets."""
    text = type(error).__name__ if quiet else f"{type(error).__name__}: {error}"[:2000]
    return Outcome(stage=Stage.FAILED if certain else Stage.UNKNOWN, error=text)


def recorded_value(row: EffectRow, sealer: Sealer | None = None) -> Any:
    """The value on record.

    Raises:
        ConflictError: when there is none that could be handed out again.
    """
    why, hint = "", "return plain JSON from tools that write"
    if row.replayable and row.stage in {Stage.DONE, Stage.COMMITTED}:
        try:
            return _opened(row, sealer)
        except SealedError as error:
            why, hint = f": {error.message}", error.hint
    raise ConflictError(
        f"{row.tool} was already called and is {row.stage} (journal effect {row.effect_id}); "
        f"its result cannot be given again{why}",
        hint=hint,
        effect_id=row.effect_id,
    )


def _opened(row: EffectRow, sealer: Sealer | None) -> Any:
    sealed = row.sealed.get("result")
    if sealed is None:
        return row.result
    subject = Subject(effect_id=row.effect_id, tool=row.tool, field="result")
    return unseal(sealer, subject, row.result, sealed)


def _sealed(hidden: Hidden, subject: Subject | None, sealer: Sealer | None) -> Sealed:
    if subject is None:
        return Sealed(places=hidden.places)
    try:
        return seal(sealer, subject, hidden.shown, hidden.places, hidden.values)
    except Exception as error:  # noqa: BLE001 - the call is made: that it was is worth more than its secrets
        log.error("%s could not be sealed, so it is not stored (%s)", subject, type(error).__name__)  # noqa: TRY400 - a traceback could show it
        return Sealed(places=hidden.places)
