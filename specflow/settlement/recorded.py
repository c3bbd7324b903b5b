"""One effect as its undo and its verify see it: what is on record; what is sealed, only where it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from specflow.effects.call import Call
from specflow.effects.redaction import HIDDEN
from specflow.effects.result import seen
from specflow.errors import SealedError, SpecflowError, ToolTimeoutError
from specflow.journal.record import EffectRow
from specflow.policy.settings import Expression
from specflow.sealing.sealed import Sealed, Subject, seal, unseal
from specflow.sealing.sealer import Sealer

REDACTED = "what the policy has redacted"


class Recorded:
    """The names that stored expressions read: args, result, key, and before where it is known.

    # INVARIANT: a place-holder is never handed out for a secret, and no secret to who does not read it.
    """

    def __init__(self, row: EffectRow, sealer: Sealer | None) -> None:
        self._row = row
        self._sealer = sealer
        self._shown: dict[str, Any] = {"args": dict(row.args), "result": row.result, "key": row.idem_key}
        if row.before_known:
            self._shown["before"] = row.before

    def secret(self, expression: Expression) -> bool:
        """Whether it reads something that is hidden."""
        return any(self._hidden(root, expression) for root in expression.roots)

    def evaluate(self, expression: Expression, **given: Any) -> Any:
        """Its value; `given` stand for what is on record under these names.

        Raises:
            ConditionError: it has none.
            SealedError: it reads a secret that cannot be opened here.
            SpecflowError: it reads a secret that was not stored, or what was there before and was not read.
        """
        if "before" in expression.roots and not self._row.before_known:
            raise SpecflowError(
                f"what was there before {self._row.tool} was not read, so it cannot be put back"
            )
        names = {**self._shown, **given}
        for root in expression.roots - given.keys():
            if self._hidden(root, expression):
                names[root] = self._open(root)
        names["result"] = seen(names["result"])
        value = expression.evaluate(names)
        if HIDDEN in json.dumps(value, default=str) and any(
            map(self._untold, expression.roots - given.keys())
        ):
            # Written before it was noted where something is hidden: better stuck than called with this.
            raise SpecflowError(f"{self._row.tool} needs {REDACTED}")
        return value

    def call(self, tool: str, texts: Mapping[str, Expression]) -> tuple[Call, frozenset[str]]:
        """The call of `tool` that the expressions make, and which of its arguments hold secrets.

        Raises:
            SpecflowError: as `evaluate`, or the arguments are not plain JSON.
        """
        args: dict[str, Any] = {}
        for name, expression in texts.items():
            try:
                args[name] = self.evaluate(expression)
            except SealedError as error:
                raise SpecflowError(f"{tool} needs {REDACTED}: {error.message}", hint=error.hint) from error
        call = Call(tool=tool, args=args)
        return call, frozenset(name for name, expression in texts.items() if self.secret(expression))

    @property
    def whole(self) -> bool:
        """Whether the arguments of the effect itself are on record, sealed where they are secret."""
        sealed = self._row.sealed.get("args")
        return not self._row.redacted if sealed is None else bool(sealed.box or not sealed.places)

    def repetition(self) -> Call:
        """The call as it was made.

        Raises:
            SealedError: its secrets cannot be opened here.
        """
        args = self._open("args") if "args" in self._row.sealed else self._row.args
        return Call(tool=self._row.tool, args=args)

    def undo_as_recorded(self, tool: str) -> tuple[Call, frozenset[str]]:
        """The undo as it was called, or was about to be, once before.

        Raises:
            SpecflowError: its secrets cannot be opened here.
        """
        sealed = self._row.sealed.get("comp_args", Sealed())
        args = self._row.comp_args or {}
        try:
            whole = unseal(self._sealer, self._subject("comp_args"), args, sealed)
        except SealedError as error:
            raise SpecflowError(f"{tool} needs {REDACTED}: {error.message}", hint=error.hint) from error
        return Call(tool=tool, args=whole), frozenset(str(place[0]) for place in sealed.places)

    def undo_to_record(self, call: Call, secret: frozenset[str]) -> tuple[Call, Sealed | None]:
        """The undo as it may be shown, and what is stored beside it."""
        if not secret:
            return call, None
        # A name can hold anything, so the places are made here and not by a path.
        args = call.plain_args()
        names = sorted(secret)
        shown = {name: HIDDEN if name in secret else value for name, value in args.items()}
        places = [(name,) for name in names]
        values = [args[name] for name in names]
        sealed = seal(self._sealer, self._subject("comp_args"), shown, places, values)
        return Call(tool=call.tool, args=shown), sealed

    def _hidden(self, root: str, expression: Expression) -> bool:
        sealed = self._row.sealed.get(root)
        return sealed is not None and sealed.reads(root, expression.paths)

    def _untold(self, root: str) -> bool:
        return self._row.redacted and root in {"args", "result"} and root not in self._row.sealed

    def _open(self, root: str) -> Any:
        return unseal(self._sealer, self._subject(root), self._shown[root], self._row.sealed[root])

    def _subject(self, field: str) -> Subject:
        return Subject(effect_id=self._row.effect_id, tool=self._row.tool, field=field)


def told(error: BaseException, *, secret: bool) -> str:
    """What may be written down of a tool's error: it may quote what it was given."""
    if secret and not isinstance(error, ToolTimeoutError):
        return type(error).__name__
    return f"{type(error).__name__}: {error}"[:2000]
