"""What was there before a write, read so that the write's undo can put it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.clock import Clock
from specflow.effects.call import Call, NotJsonError, canonical_json
from specflow.effects.kind import EffectClass
from specflow.effects.redaction import Hidden, hide
from specflow.effects.registry import ToolRegistry
from specflow.effects.result import seen
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import BeforeImageError, SpecflowError
from specflow.execution.attempt import attempt
from specflow.journal.record import Outcome
from specflow.lifecycle import Stage
from specflow.policy.mapping import overlaps
from specflow.policy.settings import EARLY_TIMEOUT, Before, Judge, Undo
from specflow.policy.verdict import Speculate
from specflow.probe import reach
from specflow.sealing.sealed import Place, Sealed, Subject, seal
from specflow.sealing.sealer import VARIABLE, Sealer

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What was there before a call, if it is known. `missing`: why the call's undo cannot be called.

    `again`: seconds that it may take to look whether it is still so.
    """

    hidden: Hidden = field(default_factory=lambda: Hidden(shown=None))
    known: bool = False
    missing: str = ""
    again: float = 0.0

    def seal(self, sealer: Sealer | None, subject: Subject) -> Sealed:
        """What to store beside `hidden.shown`."""
        return seal(sealer, subject, self.hidden.shown, self.hidden.places, self.hidden.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a call before it is made: its key, and what of its arguments the policy hides."""

    call: Call
    key: str
    hidden: Hidden


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
        keeps_secrets: bool = False,
    ) -> None:
        self._registry = registry
        self._judge = judge
        self._clock = clock
        self._context = dict(context or {})
        self._control_flow = control_flow
        self._keeps_secrets = keeps_secrets

    async def of(self, undo: Undo | None, known: Known, *, early: bool, saga: bool) -> Image:
        """What the undo of the call needs of the time before it, as plain JSON.

        With what is `known` it is made sure that the undo can be called later. A real call goes without an
        image, and so without an undo, when there is none or when it is no `saga`, which may be taken back.

        Raises:
            BeforeImageError: an early call, and it cannot be read, or not stored, or the undo could not be
                called with it.
        """
        if undo is None or undo.before is None:
            return Image()
        if not (early or saga):
            return Image(missing="this call is not one to be taken back, so nothing was read before it")
        try:
            hidden, within = await self._read(undo, known, early=early)
        except BeforeImageError as error:
            if early:
                raise
            return Image(missing=error.message)
        reach("before.read")
        return Image(hidden=hidden, known=True, again=within if early else 0.0)

    async def check(self, undo: Undo | None, known: Known, image: Image) -> None:
        """Make sure that what an early call found is still there, now that the intent holds its claims.

        Between the first look and the intent another session may have written, or taken back, what this
        call's undo would otherwise write over.

        Raises:
            BeforeImageError: it is not, or it can no longer be read.
        """
        if undo is None or undo.before is None or not image.again:
            return
        hidden, _ = await self._read(undo, known, early=True, retry=False)
        if _text(hidden) != _text(image.hidden):
            raise _unread(known.call, undo.before, "it changed while the call was prepared")
        reach("before.checked")

    async def _read(
        self, undo: Undo, known: Known, *, early: bool, retry: bool = True
    ) -> tuple[Hidden, float]:
        """The image, and the seconds that one try of the read may take."""
        before, call = undo.before, known.call
        assert before is not None
        # What is said about a call may quote it, and stays in the journal.
        quiet = bool(known.hidden.places)
        try:
            spec, read = self._call(before, call, quiet=quiet)
            self._permitted(spec, read, early=early)
        except SpecflowError as error:
            raise _unread(call, before, str(error)) from error
        settings = self._judge.settings(spec)
        quiet = quiet or bool(settings.redact)
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
            said = "" if quiet else f": {error}"
            raise _unread(call, before, f"{type(error).__name__}{said}"[:2000]) from error
        try:
            image, hidden = _image(seen(value), self._secrets(undo, settings.redact), undo.before_paths)
            hiding = {"args": known.hidden.places, "before": hidden.places}
            self._refuse_lost(undo, {} if self._keeps_secrets else hiding)
            names = {"args": call.args, "key": known.key, "before": image}
            self._try_undo(undo, names, quiet=quiet or bool(hidden.places))
        except SpecflowError as error:
            raise _unread(call, before, str(error)) from error
        return hidden, within

    def _call(self, before: Before, call: Call, *, quiet: bool) -> tuple[ToolSpec, Call]:
        spec = self._registry.require(before.tool)
        if spec.runner is None or spec.injected:
            raise SpecflowError(f"{spec.name} cannot be run by itself")
        names = {"args": call.args}
        read = spec.call({name: made.evaluate(names) for name, made in before.arguments.items()})
        problems = spec.problems(read.args)
        if problems:
            raise SpecflowError("its arguments do not fit" + ("" if quiet else f": {problems[0]}"))
        return spec, read

    def _permitted(self, spec: ToolSpec, read: Call, *, early: bool) -> None:
        # INVARIANT: nobody has asked for this call, so it must be a read, and early only what may be early.
        verdict = self._judge.judge(spec, read, context=self._context)
        if verdict.effect is not EffectClass.READ_ONLY:
            raise SpecflowError(f"this call is {verdict.effect}, not read_only ({verdict.why})")
        if early and verdict.speculate is not Speculate.NOW:
            raise SpecflowError(f"it would not run early itself ({verdict.why})")

    def _secrets(self, undo: Undo, redact: Sequence[str]) -> Sequence[str]:
        """What of the image is secret: all of it, when it becomes a secret of the compensator's."""
        given = self._judge.settings(self._registry.require(undo.tool)).redact
        passed = frozenset(("args", name) for name, made in undo.arguments.items() if "before" in made.roots)
        return ("result",) if overlaps(passed, given) else redact

    def _refuse_lost(self, undo: Undo, hiding: Mapping[str, Sequence[Place]]) -> None:
        """Make sure that the undo reads nothing that will not be on record."""
        for root, places in hiding.items():
            hidden = Sealed(places=tuple(places))
            if any(hidden.reads(root, made.paths) for made in undo.arguments.values()):
                raise SpecflowError(
                    f"{undo.tool} would need what the policy has redacted (not stored without {VARIABLE})"
                )

    def _try_undo(self, undo: Undo, names: Mapping[str, Any], *, quiet: bool) -> None:
        """Make sure now that the undo can be called, as far as that is known without the result."""
        known = {name: made for name, made in undo.arguments.items() if "result" not in made.roots}
        args = {
            name: made.evaluate({root: _part(names[root], root, made.paths) for root in made.roots})
            for name, made in known.items()
        }
        spec = self._registry.require(undo.tool)
        given = spec.call(args)
        problems = spec.problems(given.args) if len(known) == len(undo.arguments) else ()
        if problems:
            raise SpecflowError(
                f"{undo.tool} could not be called with it{'' if quiet else f': {problems[0]}'}"
            )


def never_made(error: BaseException) -> Outcome:
    """The outcome of a call given up before its tool was called: left as an intent, it would be unknown."""
    why = error.message if isinstance(error, BeforeImageError) else "given up before the call was made"
    return Outcome(stage=Stage.FAILED, error=why)


def _unread(call: Call, before: Before, why: str) -> BeforeImageError:
    return BeforeImageError(
        f"{call.tool} could not be undone: what was there before is not known ({before.tool}: {why})",
        hint="the call was not made early; see `before` in the policy",
        tool=call.tool,
        before=before.tool,
    )


def _image(value: Any, secrets: Iterable[str], paths: frozenset[Path]) -> tuple[Any, Hidden]:
    """What `paths` name of the value, as it is and without what `secrets` name; nothing else is stored."""
    inside = all(len(path) > 1 for path in paths)
    try:
        # Many tools answer in text that is JSON; read whole, as the content of a file, text stays text.
        plain = json.loads(value) if inside and isinstance(value, str) else value
        image = json.loads(canonical_json(_part(plain, "before", paths)))
    except (ValueError, RecursionError, NotJsonError) as error:
        raise SpecflowError(f"its result is not plain JSON ({type(error).__name__})") from error
    return image, hide("result", image, secrets)


def _text(hidden: Hidden) -> str:
    return canonical_json([hidden.shown, hidden.places, hidden.values])


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
