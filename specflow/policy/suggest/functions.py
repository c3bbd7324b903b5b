"""Python functions as syntax trees with the names they see. Nothing is run, no property is read."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

MAX_SOURCE = 200_000
MISSING = object()
"""What a name that cannot be followed stands for."""

Function = Callable[..., Any]
Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The functions that a tool runs when it is called."""

    functions: tuple[Function, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """`seen` are the names the body sees besides its locals; `me` is the parameter that holds its object."""

    tree: Definition
    seen: Mapping[str, Any]
    package: str
    me: str = ""


def body_of(function: Function) -> Body | None:
    """The tree of `function`, or None where there is no source to read."""
    plain, owner = _plain(function)
    if plain is None:
        return None
    try:
        source = inspect.getsource(plain)
        tree = ast.parse(textwrap.dedent(source)) if len(source) <= MAX_SOURCE else None
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return None
    found = tree.body[0] if tree is not None and tree.body else None
    if not isinstance(found, Definition):
        return None  # a lambda, or source that has changed since it was loaded
    seen = dict(plain.__globals__)
    seen.update(_closure(plain))
    arguments = [*found.args.posonlyargs, *found.args.args]
    me = arguments[0].arg if owner is not None and arguments else ""
    if me:
        seen[me] = owner
    return Body(tree=found, seen=seen, package=(plain.__module__ or "").partition(".")[0], me=me)


def _plain(function: Function) -> tuple[FunctionType | None, object]:
    owner: object = None
    if isinstance(function, MethodType):
        owner = function.__self__
        function = function.__func__
    try:
        function = inspect.unwrap(function)
    except ValueError:
        return None, None
    return (function, owner) if isinstance(function, FunctionType) else (None, None)


def _closure(function: FunctionType) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # a cell that is not filled yet
            continue
    return found


def resolve(node: ast.expr, body: Body, local: set[str]) -> Any:
    """The object that a dotted name stands for, found without running anything; else MISSING."""
    if isinstance(node, ast.Name):
        known = node.id not in local
        return body.seen.get(node.id, getattr(builtins, node.id, MISSING)) if known else MISSING
    holder = resolve(node.value, body, local) if isinstance(node, ast.Attribute) else MISSING
    if holder is MISSING or not isinstance(node, ast.Attribute):
        return MISSING
    if isinstance(holder, ModuleType):
        return vars(holder).get(node.attr, MISSING)
    return _bind(inspect.getattr_static(holder, node.attr, MISSING), holder)


def _bind(found: Any, holder: Any) -> Any:
    """What reading the attribute would give, for functions and methods."""
    if isinstance(found, staticmethod):
        return found.__func__
    if isinstance(found, classmethod):
        return MethodType(found.__func__, holder if isinstance(holder, type) else type(holder))
    if isinstance(found, FunctionType) and not isinstance(holder, type):
        return MethodType(found, holder)
    return found


def dotted(node: ast.expr, body: Body, local: set[str]) -> str:
    """`module.name` of what is called, as its home calls it; "" when it is not known."""
    found = resolve(node, body, local)
    if found is not MISSING and (isinstance(found, type) or callable(found)):
        home = getattr(found, "__module__", None)
        name = getattr(found, "__qualname__", None)
        if isinstance(home, str) and isinstance(name, str):
            return f"{home}.{name}"
    if isinstance(node, ast.Attribute):
        holder = resolve(node.value, body, local)
        if isinstance(holder, ModuleType):
            return f"{holder.__name__}.{node.attr}"
        if isinstance(holder, type):
            return f"{holder.__module__}.{holder.__qualname__}.{node.attr}"
    return ""
