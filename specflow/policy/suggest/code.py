"""What a tool's Python source does: it writes, it only reads, or parts of it cannot be followed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from specflow.policy.suggest import calls, statements
from specflow.policy.suggest.calls import Kind
from specflow.policy.suggest.evidence import Artefact, Evidence, Says, Trap
from specflow.policy.suggest.fresh import bound_names, fresh_names, is_fresh
from specflow.policy.suggest.functions import Body, Code, Definition, body_of

MAX_FUNCTIONS = 60


def evidence(code: Code) -> list[Evidence]:
    """A write for the first change found; a read only when every call was followed and none changes."""
    found: list[Evidence] = []
    unread: list[str] = []
    seen: set[Any] = set()
    waiting: list[Any] = list(code.functions)
    substance = False
    while waiting:
        function = waiting.pop(0)
        mark = getattr(function, "__func__", function)
        if mark in seen:
            continue
        seen.add(mark)
        body = body_of(function) if len(seen) <= MAX_FUNCTIONS else None
        if body is None:
            unread.append(getattr(function, "__qualname__", "a function"))
            continue
        reader = _Reader(body)
        reader.read()
        waiting.extend(reader.follow)
        unread.extend(reader.unread)
        found.extend(reader.found)
        substance = substance or _has_substance(body.tree)
    found = list(dict.fromkeys(found))
    if any(item.vetoes for item in found):
        return [item for item in found if item.vetoes][:5]
    if unread:
        return [_said(Says.NOTE, f"its source calls {unread[0]}, which was not followed")]
    return [_said(Says.READ, "its source was followed to its end and changes nothing")] if substance else []


def _has_substance(tree: Definition) -> bool:
    """Whether the body does anything: a docstring, `...` or `raise NotImplementedError` says nothing."""
    return any(
        not isinstance(line, ast.Pass | ast.Raise)
        and not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in _without_docstring(tree)
    )


def _without_docstring(tree: Definition) -> list[ast.stmt]:
    return tree.body[1:] if ast.get_docstring(tree) is not None else tree.body


class _Reader:
    """One function. What it makes itself it may change; anything else belongs to somebody."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._local = bound_names(body.tree) - {body.me}
        self._fresh = fresh_names(body.tree)
        self.found: list[Evidence] = []
        self.unread: list[str] = []
        self.follow: list[Any] = []

    def read(self) -> None:
        for node in self._body.tree.decorator_list:
            judged = calls.decorator(node)
            if judged.kind is Kind.WRITES:
                self._note(Says.WRITE, f"{judged.what} keeps what it returned", Trap.HIDDEN_CACHE)
            elif judged.kind is Kind.OPAQUE:
                self.unread.append(judged.what)
        for line in _without_docstring(self._body.tree):
            for part in ast.walk(line):
                self._node(part)

    def _node(self, node: ast.AST) -> None:
        if isinstance(node, ast.Global | ast.Nonlocal):
            self._note(Says.WRITE, f"its source sets {', '.join(node.names)} outside itself")
        elif isinstance(node, ast.ClassDef):
            self.unread.append(f"class {node.name}")
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            # `found += [x]` changes the list itself when `found` is somebody's list.
            if not (self._may_change(node.target) or isinstance(node.value, ast.Constant)):
                self._note(Says.WRITE, f"its source changes {_shown(node.target)} in place")
        elif isinstance(node, ast.stmt):
            for target in _targets(node):
                self._store(target)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._text(node.value)

    def _store(self, target: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self._store(part)
        elif isinstance(target, ast.Attribute | ast.Subscript) and not self._may_change(target.value):
            self._note(Says.WRITE, f"its source changes {_shown(target)}", _cache_trap(target))

    def _call(self, call: ast.Call) -> None:
        judged = calls.judge(call, self._body, self._local)
        if judged.kind is Kind.WRITES:
            self._note(Says.WRITE, f"its source calls {judged.what}")
        elif judged.kind is Kind.RANDOM:
            self._note(Says.UNSURE, f"its source draws from {judged.what}", Trap.RANDOM_STATE)
        elif judged.kind is Kind.MUTATES:
            if not self._may_change(judged.target):
                text = f"its source changes {_shown(judged.target)} by {judged.what}"
                self._note(Says.WRITE, text, _cache_trap(judged.target))
        elif judged.kind is Kind.FOLLOW:
            self.follow.append(judged.target)
        elif judged.kind is Kind.OPAQUE:
            self.unread.append(judged.what)

    def _text(self, text: str) -> None:
        if statements.looks_like_sql(text) and statements.effect_of(text) is statements.Does.WRITES:
            self._note(Says.WRITE, f"its source holds the statement {' '.join(text.split())[:60]!r}")

    def _may_change(self, node: ast.expr) -> bool:
        return is_fresh(node, self._fresh)

    def _note(self, says: Says, text: str, trap: Trap | None = None) -> None:
        self.found.append(_said(says, text, trap))


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assign | ast.Delete):
        yield from node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.AsyncFor):
        yield node.target
    elif isinstance(node, ast.With | ast.AsyncWith):
        yield from (item.optional_vars for item in node.items if item.optional_vars is not None)


def _cache_trap(node: ast.expr) -> Trap | None:
    return Trap.HIDDEN_CACHE if "cache" in _shown(node).lower() or "memo" in _shown(node).lower() else None


def _shown(node: ast.expr) -> str:
    return ast.unparse(node)[:60]


def _said(says: Says, text: str, trap: Trap | None = None) -> Evidence:
    return Evidence(artefact=Artefact.CODE, says=says, text=text, trap=trap)
