"""Small faults for a Python module, one at a time: each is a key that says what was changed, and the code."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr
}  # fmt: skip
_CALLS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "intersection": "union", "fullmatch": "match",
    "strictest": "min", "_strictest": "min", "sorted": "list", "_least": "_most", "_most": "_least",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """`key` is stable while the changed text is; `lines` are those whose tests can notice it."""

    key: str
    line: int
    lines: frozenset[int]


@dataclass(slots=True)
class _Change:
    """One way to change the tree in place, and to change it back."""

    node: ast.AST
    before: str
    after: str
    do: Callable[[], None]
    undo: Callable[[], None]


def mutants(path: Path) -> list[Mutant]:
    """Every mutant of the module, in the order of its text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    made: list[Mutant] = []
    for scope, statement, change in _changes(tree):
        key = f"{path.stem}.{scope}: {_short(change.before)} -> {_short(change.after)}"
        seen[key] += 1
        if seen[key] > 1:
            key += f" #{seen[key]}"
        start = getattr(change.node, "lineno", statement.lineno)
        end = getattr(change.node, "end_lineno", start) or start
        made.append(Mutant(key, start, frozenset({statement.lineno, *range(start, end + 1)})))
    return made


def code(path: Path, index: int) -> CodeType:
    """The module with mutant number `index` in it, compiled."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for count, (_, _, change) in enumerate(_changes(tree)):
        if count == index:
            change.do()
            return compile(ast.fix_missing_locations(tree), str(path), "exec")
    raise IndexError(index)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 90 else f"{flat[:60]} ... {flat[-25:]}"


def _changes(tree: ast.Module) -> Iterator[tuple[str, ast.stmt, _Change]]:
    yield from _in_body(tree, "module")


def _in_body(owner: ast.AST, scope: str) -> Iterator[tuple[str, ast.stmt, _Change]]:
    for name in ("body", "orelse", "finalbody", "handlers"):
        for index, statement in enumerate(getattr(owner, name, [])):
            if isinstance(statement, ast.ExceptHandler):
                yield from _in_body(statement, scope)
                continue
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                inner = statement.name if scope == "module" else f"{scope}.{statement.name}"
                if isinstance(statement, ast.FunctionDef):
                    for default in (*statement.args.defaults, *statement.args.kw_defaults):
                        for change in _of_expressions(default, statement) if default is not None else ():
                            yield inner, statement, change
                yield from _in_body(statement, inner)
                continue
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # documentation
            for change in _of_statement(getattr(owner, name), index, statement):
                yield scope, statement, change
            for child in _own_expressions(statement):
                for change in _of_expressions(child, statement):
                    yield scope, statement, change
            yield from _in_body(statement, scope)


def _own_expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of the statement itself, without annotations and what stands in its body."""
    for name, value in ast.iter_fields(statement):
        if name in {
            "annotation",
            "body",
            "orelse",
            "finalbody",
            "handlers",
            "decorator_list",
            "returns",
            "type_params",
        }:
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                yield item


def _of_statement(body: list[ast.stmt], index: int, statement: ast.stmt) -> Iterator[_Change]:
    text = ast.unparse(statement).splitlines()[0]
    if isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise) or (
        isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute | ast.Subscript)
    ):
        yield _replace(body, index, statement, ast.Pass(), "pass")
    elif isinstance(statement, ast.Continue):
        yield _replace(body, index, statement, ast.Break(), "break")
    elif isinstance(statement, ast.Break):
        yield _replace(body, index, statement, ast.Continue(), "continue")
    elif isinstance(statement, ast.Return) and not _is_none(statement.value):
        yield _set(statement, "value", ast.Constant(None), text, "return None")
    if isinstance(statement, ast.If | ast.While):
        test = ast.unparse(statement.test)
        yield _set(
            statement, "test", ast.UnaryOp(ast.Not(), statement.test), f"if {test}", f"if not ({test})"
        )


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _replace(body: list[ast.stmt], index: int, old: ast.stmt, new: ast.stmt, after: str) -> _Change:
    before = ast.unparse(old).splitlines()[0]
    ast.copy_location(new, old)
    return _Change(
        old, before, after, lambda: body.__setitem__(index, new), lambda: body.__setitem__(index, old)
    )


def _set(node: ast.AST, name: str, new: object, before: str, after: str) -> _Change:
    old = getattr(node, name)
    return _Change(node, before, after, lambda: setattr(node, name, new), lambda: setattr(node, name, old))


def _of_expressions(root: ast.AST, statement: ast.stmt) -> Iterator[_Change]:
    for node in ast.walk(root):
        for change in _of_node(node):
            before = ast.unparse(node)
            change.do()
            after = ast.unparse(node)
            change.undo()
            yield _Change(
                node if hasattr(node, "lineno") else statement,
                change.before or before,
                change.after or after,
                change.do,
                change.undo,
            )


def _of_node(node: ast.AST) -> Iterator[_Change]:
    if isinstance(node, ast.Compare):
        for index, mark in enumerate(node.ops):
            for other in _COMPARE[type(mark)]:
                ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                yield _set(node, "ops", ops, "", "")
    elif isinstance(node, ast.BoolOp):
        yield _set(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And(), "", "")
        for index in range(len(node.values)):
            rest = [*node.values[:index], *node.values[index + 1 :]]
            # One alone is no BoolOp; twice the same is as good as once.
            yield _set(node, "values", rest if len(rest) > 1 else rest * 2, "", "")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        # Two of them cancel each other, and the result is still a bool.
        yield _set(node, "operand", ast.UnaryOp(ast.Not(), node.operand), "", "")
    elif isinstance(node, ast.IfExp):
        yield _set(node, "test", ast.UnaryOp(ast.Not(), node.test), "", "")
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield _set(node, "op", _ARITHMETIC[type(node.op)](), "", "")
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield _set(node, "ifs", [*node.ifs[:index], *node.ifs[index + 1 :]], "", "")
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)


def _of_call(node: ast.Call) -> Iterator[_Change]:
    for index, given in enumerate(node.keywords):
        if given.arg is not None:
            rest = [*node.keywords[:index], *node.keywords[index + 1 :]]
            # The whole call is long, and the argument stands at its end.
            yield _set(node, "keywords", rest, f"{ast.unparse(node.func)}({ast.unparse(given)})", "left out")
    yield from _renamed(node)


def _renamed(node: ast.Call) -> Iterator[_Change]:
    function = node.func
    if isinstance(function, ast.Name):
        other = _CALLS.get(function.id)
        # `list` takes no key, so that would only be an error.
        if other is not None and not (other == "list" and node.keywords):
            yield _set(node, "func", ast.Name(other, ast.Load()), "", "")
    elif isinstance(function, ast.Attribute) and function.attr in _CALLS:
        new = ast.Attribute(function.value, _CALLS[function.attr], ast.Load())
        yield _set(node, "func", new, "", "")


def _of_constant(node: ast.Constant) -> Iterator[_Change]:
    value = node.value
    if isinstance(value, bool):
        yield _set(node, "value", not value, "", "")
    elif isinstance(value, int | float):
        yield _set(node, "value", value + 1, "", "")
    elif isinstance(value, str) and value and " " not in value and value.isprintable():
        # Words that programs read; sentences for people are not worth a mutant.
        yield _set(node, "value", f"{value}_", "", "")
