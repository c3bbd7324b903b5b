"""Which local names of a function hold only what the function made itself."""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

import ast
from collections.abc import Iterator

from specflow.policy.suggest.functions import Definition

_MAKERS = frozenset(
    """
    dict list set tuple str int float bool bytes bytearray sorted frozenset defaultdict Counter OrderedDict
    deque deepcopy loads copy model_dump split splitlines StringIO BytesIO enumerate zip range len sum
    abs round
    """.split()
)
_MADE = (
    ast.Dict, ast.List, ast.Set, ast.Tuple, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
    ast.Constant, ast.JoinedStr, ast.Compare,
)  # fmt: skip


def bound_names(tree: Definition) -> set[str]:
    """Every name the function binds: parameters and whatever is assigned, at any depth."""
    return {name for name, _ in _bindings(tree)}


def fresh_names(tree: Definition) -> set[str]:
    """Names whose every binding makes something new. Only the thing itself is new, not what it holds."""
    bindings = list(_bindings(tree))
    fresh = {name for name, _ in bindings}
    changed = True
    while changed:
        stale = {name for name, value in bindings if name in fresh and not is_fresh(value, fresh)}
        fresh -= stale
        changed = bool(stale)
    outside = {
        name for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
    return fresh - outside


def is_fresh(value: ast.expr | None, fresh: set[str]) -> bool:
    """Whether an expression makes a new thing, given the names that hold new things."""
    if isinstance(value, ast.Name):
        return value.id in fresh
    if isinstance(value, ast.BoolOp):
        return all(is_fresh(part, fresh) for part in value.values)
    if isinstance(value, ast.IfExp):
        return is_fresh(value.body, fresh) and is_fresh(value.orelse, fresh)
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        # What a call returns may be anybody's unless it is known to be new; `iter(self.cursor)` is the
        # cursor itself, `iter(orders.values())` is new.
        new = (
            name == "iter"
            and value.args
            and (isinstance(value.args[0], ast.Call) or is_fresh(value.args[0], fresh))
        )
        return bool(new) or name in _MAKERS
    return isinstance(value, _MADE)


def _bindings(tree: Definition) -> Iterator[tuple[str, ast.expr | None]]:
    """Each name bound and the value it gets; None where that is not known (a parameter, a loop)."""
    for node in ast.walk(tree):
        if node is not tree:
            yield from _binding(node)


def _binding(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _bound(target, node.value)
    elif isinstance(node, ast.NamedExpr) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        yield from _bound(node.target, node.value)
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield from _bound(node.target, None)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield from _bound(node.optional_vars, None)
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0], None
    elif isinstance(node, ast.arg):
        yield node.arg, None
    elif isinstance(node, Definition | ast.ClassDef | ast.ExceptHandler) and node.name:
        yield node.name, None


def _bound(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Starred):
        yield from _bound(target.value, None)
    elif isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _bound(part, None)
