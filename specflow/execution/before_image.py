"""What was there before a write, read so that the write's undo can put it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specflow.clock import Clock
from specflow.effects.call import Call, NotJsonError, canonical_json
from specflow.effects.kind import EffectClass
from specflow.effects.redaction import HIDDEN, redacted
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import BeforeImageError, SpecflowError
from specflow.execution.attempt import attempt
from specflow.policy.settings import EARLY_TIMEOUT, Before, Judge, Undo
from specflow.policy.verdict import Speculate
from specflow.probe import reach

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What was there before a call, if it is known. `missing`: why the call's undo cannot be called.

    `again`: seconds that it may take to look whether it is still so.
    """

    value: Any = None
    known: bool = False
    missing: str = ""
    again: float = 0.0


class BeforeImages:
    """Reads before-images. Only a registered tool, and only a call that the policy judges to be a read."""

    def __init__(
        self,
        registry: ToolRegistry,
        judge: Judge,
        clock: Clock,
        *,
        context: Mapping[str, Any] | None = None,
        control_flow: Callable[[BaseException], bool] = lambda _error: False,
    ) -> None:
        self._registry = registry
        self._judge = judge
        self._clock = clock
        self._context = dict(context or {})
        self._control_flow = control_flow

    async def of(
        self, call: Call, undo: Undo | None, known: Mapping[str, Any], *, early: bool, saga: bool
    ) -> Image:
        """What the undo of `call` needs of the time before it, as plain JSON.

        `known` are the call's `args` as the journal will hold them and its `key`: with them it is made
        sure that the undo can be called later. A real call goes without an image, and so without an
        undo, when there is none or when it is no `saga`, which may be taken back.

        Raises:
            BeforeImageError: an early call, and it cannot be read, or not stored, or the undo could not be
                called with it.
        """
        if undo is None or undo.before is None:
            return Image()
        if not (early or saga):
            return Image(missing="this call is not one to be taken back, so nothing was read before it")
        try:
            value, within = await self._read(call, undo, known, early=early)
        except BeforeImageError as error:
            if early:
                raise
            return Image(missing=error.message)
        reach("before.read")
        return Image(value=value, known=True, again=within if early else 0.0)

    async def check(self, call: Call, undo: Undo | None, known: Mapping[str, Any], image: Image) -> None:
        """Make sure that what an early call found is still there, now that the intent holds its claims.

        Between the first look and the intent another session may have written, or taken back, what this
        call's undo would otherwise write over.

        Raises:
            BeforeImageError: it is not, or it can no longer be read.
        """
        if undo is None or undo.before is None or not image.again:
            return
        value, _ = await self._read(call, undo, known, early=True, retry=False)
        if canonical_json(value) != canonical_json(image.value):
            raise _unread(call, undo.before, "it changed while the call was prepared")
        reach("before.checked")

    async def _read(
        self, call: Call, undo: Undo, known: Mapping[str, Any], *, early: bool, retry: bool = True
    ) -> tuple[Any, float]:
        """The image, and the seconds that one try of the read may take."""
        before = undo.before
        assert before is not None
        try:
            spec, read = self._call(before, call)
            self._permitted(spec, read, early=early)
        except SpecflowError as error:
            raise _unread(call, before, str(error)) from error
        settings = self._judge.settings(spec)
        # Nobody asked for this call: not even a real one waits for it without an end.
        within = settings.timeout or EARLY_TIMEOUT
        context = CallContext(early=early, deadline=self._clock.monotonic() + within)
        runner = spec.runner
        assert runner is not None
        try:
            value = await attempt(
                runner,
                read,
                context,
                within=within,
                retries=settings.retries if retry else 0,
                backoff=settings.backoff,
                passing=self._control_flow,
            )
        except Exception as error:
            if self._control_flow(error):
                raise
            # An error may quote what the call was given.
            said = "" if settings.redact else f": {error}"
            raise _unread(call, before, f"{type(error).__name__}{said}"[:2000]) from error
        try:
            image = _image(value, settings.redact, undo.before_paths)
            self._try_undo(undo, {**known, "before": image})
        except SpecflowError as error:
            raise _unread(call, before, str(error)) from error
        return image, within

    def _call(self, before: Before, call: Call) -> tuple[ToolSpec, Call]:
        spec = self._registry.require(before.tool)
        if spec.runner is None or spec.injected:
            raise SpecflowError(f"{spec.name} cannot be run by itself")
        names = {"args": call.args}
        read = spec.call({name: made.evaluate(names) for name, made in before.arguments.items()})
        problems = spec.problems(read.args)
        if problems:
            raise SpecflowError(f"its arguments do not fit: {problems[0]}")
        return spec, read

    def _permitted(self, spec: ToolSpec, read: Call, *, early: bool) -> None:
        # INVARIANT: nobody has asked for this call, so it must be a read, and early only what may be early.
        verdict = self._judge.judge(spec, read, context=self._context)
        if verdict.effect is not EffectClass.READ_ONLY:
            raise SpecflowError(f"this call is {verdict.effect}, not read_only ({verdict.why})")
        if early and verdict.speculate is not Speculate.NOW:
            raise SpecflowError(f"it would not run early itself ({verdict.why})")

    def _try_undo(self, undo: Undo, names: Mapping[str, Any]) -> None:
        """Make sure now that the undo can be called, as far as that is known without the result."""
        known = {name: made for name, made in undo.arguments.items() if "result" not in made.roots}
        args = {
            name: made.evaluate({root: _part(names[root], root, made.paths) for root in made.roots})
            for name, made in known.items()
        }
        spec = self._registry.require(undo.tool)
        given = spec.call(args)
        if HIDDEN in given.args_json:
            raise SpecflowError(f"{undo.tool} would need what the policy has redacted")
        problems = spec.problems(given.args) if len(known) == len(undo.arguments) else ()
        if problems:
            raise SpecflowError(f"{undo.tool} could not be called with it: {problems[0]}")


def _unread(call: Call, before: Before, why: str) -> BeforeImageError:
    return BeforeImageError(
        f"{call.tool} could not be undone: what was there before is not known ({before.tool}: {why})",
        hint="the call was not made early; see `before` in the policy",
        tool=call.tool,
        before=before.tool,
    )


def _image(value: Any, secrets: Iterable[str], paths: frozenset[Path]) -> Any:
    """What `paths` name of the value, without what `secrets` name; nothing else is stored."""
    inside = all(len(path) > 1 for path in paths)
    try:
        # Many tools answer in text that is JSON; read whole, as the content of a file, text stays text.
        plain = json.loads(value) if inside and isinstance(value, str) else value
        image = _part(redacted("result", plain, secrets), "before", paths)
    except (ValueError, RecursionError, NotJsonError) as error:
        raise SpecflowError(f"its result is not plain JSON ({type(error).__name__})") from error
    if HIDDEN in json.dumps(image):
        raise SpecflowError("its result holds what the policy has redacted")
    return image


def _part(value: Any, root: str, paths: Iterable[Path]) -> Any:
    """A copy of what the paths below `root` name in `value`; whole where one of them names all of it."""
    below = [path[1:] for path in paths if path[0] == root]
    if not all(below) or not isinstance(value, Mapping):
        return value
    chosen: dict[str, Any] = {}
    for name in {path[0] for path in below}:
        if name in value:
            chosen[name] = _part(value[name], name, [path for path in below if path[0] == name])
    return chosen
