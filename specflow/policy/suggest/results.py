"""The shape of what a Python tool returns, as its source shows it."""

from __future__ import annotations

import ast
from typing import Any

from specflow.policy.suggest.functions import Code, Definition, body_of


def schema_of(code: Code) -> dict[str, Any] | None:
    """An object schema with the keys that every `return {...}` has; None when anything else is returned."""
    keys: set[str] | None = None
    for function in code.functions:
        body = body_of(function)
        if body is None:
            return None
        for line in _returns(body.tree):
            found = _keys(line.value)
            if found is None:
                return None
            keys = found if keys is None else keys & found
    if not keys:
        return None
    return {"type": "object", "properties": {key: {} for key in sorted(keys)}, "required": sorted(keys)}


def _returns(tree: Definition) -> list[ast.Return]:
    """The returns of the function itself, not of functions inside it."""
    found: list[ast.Return] = []
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            found.append(node)
        elif not isinstance(node, Definition | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def _keys(value: ast.expr | None) -> set[str] | None:
    if not isinstance(value, ast.Dict):
        return None
    # `{**other}` has a key that is None in the tree.
    return {key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
