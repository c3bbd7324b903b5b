"""Conditions and mapping values: CEL, compiled once, bounded, total or raising `ConditionError`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cel

from specflow.effects.call import Call
from specflow.errors import AuthorError
from specflow.policy.cel_scan import WORDS, CelSyntaxError, scan
from specflow.policy.finding import near

MAX_DATA = 16_384
"""Characters (keys and text) an expression may be evaluated over; what is larger is not evaluated."""
MAX_ITEMS = 4_096
MAX_LEVELS = 32


_LONG_NUMBER = re.compile(r"[0-9]{18}")


class ConditionError(AuthorError):
    """An expression that cannot be evaluated over the data it was given."""

    code = "condition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What conditions read: names of arguments (None: all of them), and whether they read `context`."""

    args: frozenset[str] | None
    context: bool


def needs_of(conditions: Iterable[Cel | None]) -> Needs:
    """What any of `conditions` reads. Handing over no more is most of the speed of a judgement."""
    paths = {path for condition in conditions if condition is not None for path in condition.paths}
    args = {path[1:2] for path in paths if path[0] == "args"}
    return Needs(
        args=None if () in args else frozenset(name for part in args for name in part),
        context=any(path[0] == "context" for path in paths),
    )


class Scope:
    """Names with values, checked and handed to the engine once, for any number of evaluations.

    Raises:
        ConditionError: when the data is larger, deeper or stranger than plain JSON of the allowed size.
    """

    __slots__ = ("context",)

    def __init__(self, names: Mapping[str, Any], *, checked: bool = False) -> None:
        if not checked:
            _check(names)
        try:
            self.context = cel.Context(dict(names))
        except Exception as error:
            raise ConditionError("holds text that is not valid Unicode") from error

    @classmethod
    def of_call(cls, call: Call, context: Mapping[str, Any], needs: Needs) -> Scope:
        """What conditions see of `args` and of the host's `context`.

        Raises:
            ConditionError: as for a new scope; also for an argument that no condition reads.
        """
        if not _is_small(call.args_json):
            _check(call.args)
        args = call.args
        chosen = (
            dict(args) if needs.args is None else {name: args[name] for name in needs.args if name in args}
        )
        if not needs.context:
            return cls({"args": chosen}, checked=True)
        _check(context)
        return cls({"args": chosen, "context": context}, checked=True)


class Cel:
    """A compiled expression; fulfils `specflow.policy.settings.Expression`."""

    __slots__ = ("_execute", "_program", "paths", "roots", "source")

    def __init__(self, source: str, allowed: frozenset[str]) -> None:
        """Compile `source`, which may read the names in `allowed`.

        Raises:
            CelSyntaxError: saying what is wrong, and where in the text.
        """
        found = scan(source)
        for name in sorted(found.roots - allowed):
            options = ", ".join(sorted(allowed))
            raise CelSyntaxError(f"unknown name {name!r}{near(name, allowed)}: it may read {options}")
        try:
            self._program = cel.compile(source)
        except Exception as error:
            raise CelSyntaxError(_syntax(str(error))) from error
        # A second opinion on what the text reads: the library must not know of a name that `scan` missed.
        if not set(self._program.variables()) <= found.roots | WORDS:
            raise CelSyntaxError("not understood; write it more plainly")
        self.source = source
        self.roots = found.roots
        self.paths = found.paths
        self._execute = self._program.execute
        for pattern in found.patterns:
            # The engine compiles patterns when it runs; one that is wrong is the author's to know now.
            try:
                cel.compile(f"''.matches({pattern})").execute()
            except Exception as error:
                raise CelSyntaxError(f"{pattern} is not a valid regular expression") from error

    def run(self, scope: Scope) -> Any:
        """The value over names that are already prepared.

        Raises:
            ConditionError: a field is missing, a type is wrong, or the engine failed; never with values.
        """
        try:
            return self._execute(scope.context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A panic in the engine is not an Exception.
            raise ConditionError(self._why(error)) from error

    def test(self, scope: Scope) -> bool:
        """Whether the condition holds.

        Raises:
            ConditionError: as `run`, and when the result is not true or false.
        """
        try:
            value = self._execute(scope.context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise ConditionError(self._why(error)) from error
        if value is True or value is False:
            return value is True
        raise ConditionError(f"the result is {type(value).__name__}, not true or false")

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """The value as plain JSON data.

        Raises:
            ConditionError: as `run`, and when the value is not plain JSON.
        """
        value = self.run(Scope(names))
        _check({"result": value})
        return value

    def _why(self, error: BaseException) -> str:
        # Messages of the engine can hold values of arguments; only names written in the policy are told.
        name = str(error.args[0]) if isinstance(error, KeyError) and error.args else ""
        if isinstance(error, KeyError):
            return f"the field {name!r} is missing" if name and name in self.source else "a field is missing"
        if isinstance(error, TypeError):
            return "a value has the wrong type"
        if isinstance(error, RuntimeError) and "Undefined variable" in str(error):
            return "a name is not known here, or a function does not take this type"
        return f"evaluation failed ({type(error).__name__})"

    def __repr__(self) -> str:
        return f"Cel({self.source!r})"


def _is_small(text: str) -> bool:
    """Whether canonical JSON is within the limits, told from its text: a tenth of the time of a walk.

    What it says no to may still be within them.
    """
    return (
        len(text) <= MAX_ITEMS
        and text.count("[") + text.count("{") <= MAX_LEVELS
        and _LONG_NUMBER.search(text) is None
    )


def _check(names: Mapping[str, Any]) -> None:
    """Walk the data with a stack of its own: the engine would recurse, and a cycle ends the process."""
    items, size = 0, 0
    stack: list[tuple[Any, int]] = [(names, 0)]
    while stack:
        value, level = stack.pop()
        items += 1
        size += _leaf(value) if isinstance(value, str | int | float | None) else _open(value, level, stack)
        if items > MAX_ITEMS or size > MAX_DATA:
            raise ConditionError(f"the data is larger than {MAX_DATA:,} characters or {MAX_ITEMS:,} values")


def _leaf(value: object) -> int:
    """Characters in the value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConditionError("a number is not finite")
    # The engine turns what does not fit 64 bits into a float: another number, another booking.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConditionError("a number does not fit 64 bits")
    return 0


def _open(value: object, level: int, stack: list[tuple[Any, int]]) -> int:
    """Put what a collection holds on the stack; characters in its keys."""
    if not isinstance(value, dict | list | tuple | Mapping):
        raise ConditionError(f"a value is {type(value).__name__}, not plain JSON")
    if level > MAX_LEVELS:
        raise ConditionError(f"data nested more than {MAX_LEVELS} levels deep")
    if len(value) > MAX_ITEMS:
        raise ConditionError(f"more than {MAX_ITEMS:,} values")
    if not isinstance(value, Mapping):
        stack.extend((item, level + 1) for item in value)
        return 0
    size = 0
    for key, item in value.items():
        if not isinstance(key, str):
            raise ConditionError("a key is not text")
        size += len(key)
        stack.append((item, level + 1))
    return size


def _syntax(text: str) -> str:
    """The engine's first complaint, with its position, without its echo of the source."""
    _, _, rest = text.partition("ERROR: <input>:")
    place, _, message = rest.partition("\n")[0].partition(": ")
    if not message:
        return "the expression is not understood"
    return f"at {place} of the expression: {message.split(' expecting {')[0]}"
