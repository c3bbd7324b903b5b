"""Decorators that say what a tool may do: `read_only`, `compensatable`, `confirmation_required`.

They mark the function (or the tool object) and change nothing else; they go above or below `@tool`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from specflow.effects.kind import EffectClass
from specflow.errors import AnnotationError

T = TypeVar("T")
MARK = "__specflow_effect__"
METADATA_KEY = "specflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What the Python source says about a tool. The policy may tighten it, not loosen it.

    `undo` names the compensating tool; `verify` a read-only tool that answers whether the effect
    happened; `idempotency_key` the parameter that specflow fills with one; `transaction` the parameter
    that takes a transaction of the journal's own database, for a tool whose effect lives there; `not_done`
    the exceptions by which the tool says that nothing happened; `same` says whether two results of a read
    count as equal.
    """

    effect: EffectClass
    undo: str = ""
    verify: str = ""
    idempotency_key: str = ""
    transaction: str = ""
    not_done: tuple[type[BaseException], ...] = ()
    same: Callable[[Any, Any], bool] | None = None


def _mark(target: T, annotation: Annotation) -> T:
    known = annotation_of(target)
    if known is not None and known != annotation:
        raise AnnotationError(
            f"{getattr(target, 'name', getattr(target, '__name__', target))} is already marked "
            f"{known.effect}, not {annotation.effect}",
            hint="keep one specflow decorator",
        )
    metadata = getattr(target, "metadata", None)
    if hasattr(target, "args_schema") and (metadata is None or isinstance(metadata, dict)):
        # A LangChain tool: metadata stays out of what providers are sent.
        target.metadata = {**(metadata or {}), METADATA_KEY: annotation}  # type: ignore[attr-defined]
        return target
    setattr(target, MARK, annotation)
    return target


def annotation_of(target: object) -> Annotation | None:
    """The annotation on a function, a tool object, or the function inside a tool object; else None."""
    metadata = getattr(target, "metadata", None)
    if isinstance(metadata, dict) and isinstance(metadata.get(METADATA_KEY), Annotation):
        found: Annotation = metadata[METADATA_KEY]
        return found
    for candidate in (target, getattr(target, "coroutine", None), getattr(target, "func", None)):
        mark = getattr(candidate, MARK, None)
        if isinstance(mark, Annotation):
            return mark
    return None


@overload
def read_only(target: T, /) -> T: ...
@overload
def read_only(*, same: Callable[[Any, Any], bool] | None = None) -> Callable[[T], T]: ...
def read_only(target: Any = None, /, *, same: Callable[[Any, Any], bool] | None = None) -> Any:
    """Mark a tool that changes nothing, not even a cache or a cursor that another call can see.

    `same` compares two results for `verify_sample`; without it they are compared as JSON.
    """
    annotation = Annotation(effect=EffectClass.READ_ONLY, same=same)
    return _mark(target, annotation) if target is not None else lambda item: _mark(item, annotation)


def compensatable(
    *,
    undo: str,
    verify: str = "",
    idempotency_key: str = "",
    transaction: str = "",
    not_done: tuple[type[BaseException], ...] = (),
) -> Callable[[T], T]:
    """Mark a tool whose effect the tool named `undo` takes back."""
    if not undo:
        raise AnnotationError("compensatable needs the name of the tool that undoes it", hint='undo="..."')
    annotation = Annotation(
        effect=EffectClass.COMPENSATABLE,
        undo=undo,
        verify=verify,
        idempotency_key=idempotency_key,
        transaction=transaction,
        not_done=not_done,
    )
    return lambda item: _mark(item, annotation)


@overload
def confirmation_required(target: T, /) -> T: ...
@overload
def confirmation_required(
    *,
    verify: str = "",
    idempotency_key: str = "",
    transaction: str = "",
    not_done: tuple[type[BaseException], ...] = (),
) -> Callable[[T], T]: ...
def confirmation_required(
    target: Any = None,
    /,
    *,
    verify: str = "",
    idempotency_key: str = "",
    transaction: str = "",
    not_done: tuple[type[BaseException], ...] = (),
) -> Any:
    """Mark a tool that a person must approve, call by call; it never runs early."""
    annotation = Annotation(
        effect=EffectClass.CONFIRMATION_REQUIRED,
        verify=verify,
        idempotency_key=idempotency_key,
        transaction=transaction,
        not_done=not_done,
    )
    return _mark(target, annotation) if target is not None else lambda item: _mark(item, annotation)
